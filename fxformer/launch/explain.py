"""Errors in a line: what was wrong, where, and the nearest right thing to write."""

import re
import sys
import traceback

from omegaconf import OmegaConf

from fxformer.config import folders
from fxformer.config.fit import nearest
from fxformer.printable import printable

SELF_TELLING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def say(sentences: str) -> int:
    """Print the problems, a line each, to stderr; returns the exit code of a bad config."""
    sentences = printable(sentences)
    lines = sentences.splitlines()
    text = "\n  ".join(["fxformer:", *lines]) if lines[1:] else f"fxformer: {sentences}"
    print(text, file=sys.stderr)
    return 2


def trace(error: Exception) -> None:
    """Print a traceback: a bug, or one the user asked for with HYDRA_FULL_ERROR=1."""
    traceback.print_exception(error)


def refusal(error: BaseException) -> str | None:
    """The sentence of an error that we raised on purpose; None for a bug.

    On purpose: a ValueError (Hydra may have wrapped it) whose innermost frame is a `raise` of this
    package; and a file that cannot be opened, which says so itself.
    """
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, SELF_TELLING) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if not isinstance(error, ValueError):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    ours = frames and frames[-1].filename.startswith(str(folders.PACKAGE))
    return str(error) if ours and (frames[-1].line or "").startswith("raise") else None


def additions(argv: list[str], verb: str = "train") -> str:
    """A sentence for each `+key=value`: a key that no yaml spells can have no effect.

    `+group/name@package=option` passes: it puts a whole yaml in, and the gate judges that.
    """
    added = [word for word in argv if word.startswith("+") and "@" not in word.partition("=")[0]]
    added = [word for word in added if not word.lstrip("+").startswith("hydra")]
    rest = [word for word in argv if not word.startswith(("+", "-"))]
    keys = _keys(rest, verb) if added else []
    return "\n".join(_addition(word, keys) for word in added)


def _addition(word: str, keys: list[str]) -> str:
    key, _, value = word.lstrip("+").partition("=")
    if key in keys:
        return f"{word}: the key is there already; write {key}={value}"
    return f"{word}: keys cannot be added, and there is no {key!r}{nearest(key, keys)}"


def composition(error: Exception, argv: list[str], verb: str = "train") -> str:
    """Hydra's and OmegaConf's complaints about the command line, with the nearest right word."""
    options = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if missing:
        group, _, name = str(missing).rpartition("/")
        have = ", ".join(options or ()) or "none"
        near = nearest(name, options or ())
        return f"{group}={name}: there is no such option{near}; there are {have}"
    if override := getattr(error, "override", None):
        return f"{override}: cannot be read as key=value; is a quote, a bracket or a key amiss?"
    text = re.sub(r"\s*\n\s*", "; ", str(error).strip())
    empty = [word for word in argv if word.partition("=")[::2] in _nothing()]
    if empty and "must be a string or a list" in text:
        advice = "a group wants a choice; leave it out for the usual one"
        return "\n".join(f"{word}: {advice}" for word in empty)
    unknown = re.search(r"Could not override '([^']+)'", text)
    if not unknown:
        return text
    key = unknown[1].partition("@")[0]
    rest = [word for word in argv if not word.startswith((key, "-", "+"))]
    near = nearest(key, _keys(rest, verb))
    kind = "group" if "/" in key or "defaults list" in text else "key"
    near = near or f"; `fxformer {verb} --cfg job` shows all"
    return f"{key}: there is no such {kind}{near}"


def _nothing() -> list[tuple[str, str]]:
    return [(group, value) for group in folders.defaults() for value in ("null", "")]


def _keys(overrides: list[str], verb: str) -> list[str]:
    """Every key and group that an override could name, given these other overrides."""
    from hydra import compose, initialize_config_dir

    for tried in (overrides, [word for word in overrides if "." not in word], []):
        try:
            with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
                plain = OmegaConf.to_container(compose(verb, tried), resolve=False)
                return [*folders.defaults(), *_flat(plain)]
        except Exception:  # one of the others is wrong too: Hydra tells of it in its turn
            continue
    return list(folders.defaults())


def _flat(tree: dict, path: str = "") -> list[str]:
    """Every dotted path of nested mappings, inner ones too."""
    found = []
    for key, value in tree.items():
        found.append(f"{path}{key}")
        found += _flat(value, f"{path}{key}.") if isinstance(value, dict) else []
    return found
