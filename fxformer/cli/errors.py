"""Errors in a line: what was wrong, where, and the nearest right thing to write."""

import errno
import re
import sys
import traceback

from fxformer.cli.composed import keys_of
from fxformer.cli.hints import alike, missing_group, renamed
from fxformer.config import folders
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.track.formatting import safe

# Errors of a path that the user gave, not of a disk or network that fails while a run goes on.
PATH_ERRORS = {errno.ELOOP, errno.ENAMETOOLONG, errno.EROFS, errno.ENXIO, errno.ENODEV}
PATH_ERRORS |= {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}


def say(sentences: str) -> int:
    """Print the problems, a line each, to stderr; returns the exit code of a bad config."""
    sentences = safe(sentences, limit=20_000)  # they may quote the names of foreign files
    lines = sentences.splitlines()
    text = "\n  ".join(["fxformer:", *lines]) if lines[1:] else f"fxformer: {sentences}"
    print(text, file=sys.stderr)
    return 2


def trace(error: Exception) -> None:
    """Print a traceback: a bug, or one the user asked for with HYDRA_FULL_ERROR=1.

    Its last line is the error again: JAX puts advice of its own behind the message, and whoever
    shows the last line of a log (a search, a scheduler) is to show what happened.
    """
    traceback.print_exception(error)
    print(f"fxformer: {sentence(error)}", file=sys.stderr)


def sentence(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def refusal(error: BaseException) -> str | None:
    """The message of an error that the user can mend; None for a bug.

    A UserError, an OSError about a path that cannot be used, or a part that Hydra could not call
    because the config lacks one of its arguments. What Hydra wraps is unwrapped first.
    """
    from fxformer.config.build import cause  # Hydra, which light commands do without

    inner = cause(error)
    if isinstance(inner, UserError):
        return str(inner)
    if isinstance(inner, OSError) and inner.filename and inner.errno in PATH_ERRORS:
        return f"{inner.filename}: {inner.strerror}"
    if inner is not error and isinstance(inner, TypeError) and not _in_package(inner):
        lacking = re.match(r"(\w+)(?:\.__init__)?\(\) missing \d+ required .*?: (.+)", str(inner))
        return f"{lacking[1]}: the config does not give {lacking[2]}" if lacking else None
    return None


def _in_package(error: BaseException) -> bool:
    """Whether this package made the call that failed; else a library (Hydra) made it."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(str(folders.PACKAGE))


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
    if several := re.match(r"Ambiguous value for argument '(.*?)'; 1", text):
        key, _, values = several[1].partition("=")
        return f"{several[1]}: to run each of several values, add -m; a list is {key}=[{values}]"
    empty = [word for word in argv if word.partition("=")[::2] in _nothing()]
    if empty and "must be a string or a list" in text:
        advice = "a group needs a choice; leave it out for the default"
        return "\n".join(f"{word}: {advice}" for word in empty)
    unknown = re.search(r"Could not override '([^']+)'", text)
    if not unknown:
        return text
    key = unknown[1].partition("@")[0]
    given = next((word for word in argv if word.lstrip("+~").partition("=")[0] == key), key)
    if hint := missing_group(given, verb):
        return f"{given}: {hint}"
    rest = [word for word in argv if not word.startswith((key, "-", "+"))]
    keys = keys_of(rest, verb)
    if owned := _of_another_option(key, keys):
        return owned
    kind = "group" if "/" in key or "defaults list" in text else "key"
    found = renamed(key, given.partition("=")[2], keys) if "." in key else ""
    near = f"; write {found}" if found else alike(key, keys)
    near = near or f"; `fxformer {verb} --cfg job` shows all"
    return f"{key}: there is no such {kind}{near}"


def _of_another_option(key: str, keys: list[str]) -> str:
    """What to say of a key that only other options of its group have; "" where none has it.

    keys: all that are there
    """
    group, _, name = key.partition(".")
    files = folders.option_files(group)
    if not name.isidentifier() or not files:
        return ""
    spelt = re.compile(rf"^{name}:", re.MULTILINE)
    owners = sorted(file.stem for file in files if spelt.search(file.read_text()))
    own = [one.partition(".")[2] for one in keys if one.startswith(f"{group}.")]
    own = list(dict.fromkeys(one.partition(".")[0] for one in own if not one.startswith("_")))
    if not owners or not own:
        return ""
    return (
        f"{key}: only {group}={' or '.join(owners)} has this key; the chosen {group} has: "
        f"{', '.join(own)}"
    )


def _nothing() -> list[tuple[str, str]]:
    return [(group, value) for group in folders.defaults() for value in ("null", "")]
