"""The config of a training that begins with a model that exists: that model's, with changes.

`init.from=RUN` takes the run's model and tokenizer unless the command line chooses others with
`model=` or `tokenizer=`; single choices of it (`model.dropout=0`, `model/classifiers=classes`) are
made in what is taken over.
"""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fxformer.bridge.hub import folder_of
from fxformer.bridge.options import composed
from fxformer.bridge.reading import read
from fxformer.bridge.start import run_of
from fxformer.config.resume import flat
from fxformer.config.target import ConfigError

# Together they have every reference.
PRESETS = ("encoder", "decoder", "seq2seq", "bert", "t5", "prophetnet", "transfo_xl")


def adopted(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """The config with the model and the tokenizer of what it begins with.

    overrides: the command line's words
    Raises ConfigError for a choice that contradicts it.
    """
    which = OmegaConf.select(cfg, "init.from")
    if which is None:
        return cfg
    keys = [word.partition("=")[0].lstrip("+~").partition("@")[0] for word in overrides]
    if "size" in keys and "model" not in keys:
        raise ConfigError("size: init.from brings a model of its own size; leave out size=")
    model, tokenizer, place = _of(str(which), str(cfg.runs))
    made = cfg.copy()
    OmegaConf.set_struct(made, False)
    made.init["from"] = place
    if "model" not in keys:
        raw = OmegaConf.to_container(cfg, resolve=False)
        made.model = OmegaConf.create(model)
        for key in (k.replace("/", ".") for k in keys if k.startswith(("model.", "model/"))):
            value = raw
            for part in key.split("."):
                value = value[part]
            OmegaConf.update(made, key, value, merge=False, force_add=True)
    if "tokenizer" not in keys and tokenizer.is_dir():
        made.tokenizer = composed("train", ["tokenizer=file"]).tokenizer
        made.tokenizer.path = str(tokenizer)
    OmegaConf.set_struct(made, True)
    return made


def _of(which: str, runs: str) -> tuple[dict, Path, str]:
    """(the model node with its references, a folder with the tokenizer, where it lies)."""
    run = run_of(which, runs)
    if run is not None:
        folder = run.folder.resolve()
        return referenced(run.config["model"]), folder / "tokenizer", str(folder)
    published = read(folder_of(which))
    model = OmegaConf.to_container(published.compose().model, resolve=False)
    return model, published.folder, str(published.folder.resolve())


def referenced(model: dict[str, Any]) -> dict[str, Any]:
    """A resolved model node with the references it was written with: `${model.dropout}` …

    A value that differs from what its reference would say was chosen by itself and stays.
    """
    raws = [composed(None, [f"+model={name}"]) for name in PRESETS]
    found: dict[str, set[str]] = {}
    for raw in raws:
        for path, value in flat(OmegaConf.to_container(raw, resolve=False)).items():
            if isinstance(value, str) and value.startswith("${model.") and value.endswith("}"):
                found.setdefault(path, set()).add(value)
    made = {"model": model}
    for path in sorted(found, key=lambda path: path.count(".")):
        here = _at(made, path)  # gone, where a parent has become a reference
        for reference in sorted(found[path]):
            if here is not ... and here == _at({"model": model}, reference[2:-1]):
                made = _put(made, path.split("."), reference)
    return made["model"]


def _put(tree: dict, path: list[str], value: Any) -> dict:
    """A copy of the tree with `value` at the path."""
    key, *rest = path
    return {**tree, key: _put(tree[key], rest, value) if rest else value}


def _at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return ...
        tree = tree[part]
    return tree
