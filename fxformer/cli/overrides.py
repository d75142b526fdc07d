"""Overrides that are refused before Hydra sees them: without effect, added or removed keys."""

from omegaconf import DictConfig, OmegaConf

from fxformer.cli.composed import composed, keys_of
from fxformer.cli.hints import foreign_words
from fxformer.config.type_check import nearest


def problems(argv: list[str], verb: str = "train") -> str:
    """A line for each word of a command line that is refused; "": none is."""
    return foreign_words(argv, verb) or inert(argv) or unfit(argv, verb)


# Settings of Hydra's that do nothing here, and what does what they are for.
INERT = {
    "hydra.run.dir": "runs=FOLDER says where the folders of runs lie, name= what they are called",
    "hydra.sweep": "runs=FOLDER says where runs and searches lie, search.name= names a search",
    "hydra.job.chdir": "a run writes into its own folder, wherever the command is given",
    "hydra.output_subdir": "a run's folder has its config.yaml",
    "hydra.launcher": "search/launcher= says where trials run",
    "hydra.sweeper": "search= says how trials are drawn",
}


def inert(argv: list[str]) -> str:
    """A line for each word without effect: settings of Hydra's that fxformer makes itself, and
    settings of a search where nothing is searched."""
    searches = any(word.startswith(("-m", "--multirun", "hydra.mode=")) for word in argv)
    lines = []
    for word in argv:
        key = word.partition("=")[0].lstrip("+~").replace("/", ".")
        for setting, instead in INERT.items():
            if key == setting or key.startswith(setting + "."):
                lines.append(f"{word}: has no effect; {instead}")
        if not searches and (key == "search" or key.startswith("search.")):
            lines.append(f"{word}: nothing is searched without -m")
    return "\n".join(lines)


def unfit(argv: list[str], verb: str = "train") -> str:
    """A sentence for each word that adds a key or removes one which its part needs to be told, and
    for two words that contradict each other."""
    return "\n".join(filter(None, [additions(argv, verb), removals(argv, verb), durations(argv)]))


def durations(argv: list[str]) -> str:
    """A sentence where a command line gives both trainer.epochs and trainer.steps."""
    given = dict(word.lstrip("+").split("=", 1) for word in argv if "=" in word)
    both = [key for key in ("trainer.epochs", "trainer.steps") if given.get(key, "null") != "null"]
    if len(both) < 2:
        return ""
    return "trainer.steps follows from trainer.epochs: give one of them"


def removals(argv: list[str], verb: str = "train") -> str:
    """A sentence for each `~key` that removes a knob: its value would be a default that no yaml
    shows. A choice (`~experiment`) may go, and an entry of a mapping (`~tracker.mirrors.wandb`)."""
    words = [word for word in argv if word.startswith("~") and "." in word.partition("=")[0]]
    rest = [word for word in argv if not word.startswith(("~", "-"))]
    cfg = composed(tuple(rest), verb) if words else None
    found = []
    for word in words:
        key = word.lstrip("~").partition("=")[0]
        above, _, last = key.rpartition(".")
        node = OmegaConf.select(cfg, above) if cfg is not None else None
        if not isinstance(node, DictConfig) or last not in node:
            continue  # Hydra says so
        if "_target_" in node or "." not in above:
            found.append(f"{word}: a key cannot be left out; write {key}=VALUE")
    return "\n".join(found)


def additions(argv: list[str], verb: str = "train") -> str:
    """A sentence for each `+key=value`: a key that no yaml spells can have no effect.

    `+group/name@package=option` passes: it puts a whole yaml in, and the gate judges that.
    """
    added = [word for word in argv if word.startswith("+") and "@" not in word.partition("=")[0]]
    added = [word for word in added if not word.lstrip("+").startswith("hydra")]
    rest = [word for word in argv if not word.startswith(("+", "-"))]
    keys = keys_of(rest, verb) if added else []
    return "\n".join(_addition(word, keys) for word in added)


def _addition(word: str, keys: list[str]) -> str:
    key, _, value = word.lstrip("+").partition("=")
    if key in keys:
        return f"{word}: the key is there already; write {key}={value}"
    return f"{word}: keys cannot be added, and there is no {key!r}{nearest(key, keys)}"
