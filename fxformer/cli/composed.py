"""The config that a command line composes, for messages about its words."""

from omegaconf import DictConfig, OmegaConf

from fxformer.config import folders


def keys_of(overrides: list[str], verb: str) -> list[str]:
    """Every key and group that an override could name, given these other overrides."""
    cfg = composed(tuple(overrides), verb)
    plain = {} if cfg is None else OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return [*folders.defaults(), *_flat(plain)]


def composed(overrides: tuple[str, ...], verb: str) -> DictConfig | None:
    """The config of a command line, or of the most of it that composes."""
    from fxformer.config import options

    for tried in (overrides, [word for word in overrides if "." not in word], []):
        try:
            return options.composed(verb, tried)
        except Exception:  # one of the others is wrong too: Hydra tells of it in its turn
            continue
    return None


def _flat(tree: dict, path: str = "") -> list[str]:
    """Every dotted path of nested mappings, inner ones too."""
    found = []
    for key, value in tree.items():
        found.append(f"{path}{key}")
        found += _flat(value, f"{path}{key}.") if isinstance(value, dict) else []
    return found
