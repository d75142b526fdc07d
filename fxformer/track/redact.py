"""Keeps secrets out of everything a run writes: by their key, their origin, their value, their URL.

A value that comes from the environment is written as the interpolation that fetches it
("${oc.env:NAME}"), so the stored config resumes without holding it.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fxformer.track import tokens

MASK = "<redacted>"
_WORDS = r"(?:api_?key|key|token|secret|password|passwd|pwd|credentials?|auth)s?"
_KEY = re.compile(rf"(?:^|[_.\-]){_WORDS}$", re.IGNORECASE)
_FIELD = re.compile(r"(?:^|[.+~])data\.key$")  # data=jsonl: the field of each object that is read
_SPECIAL = re.compile(r"^[\[<].{1,30}[\]>]$")  # "[MASK]" and "<s>" are no secrets
# The user part of a URL ends at its last @: a password may hold any character, "/" and "@" too.
# Without a ":" it must not hold a "/", or every path with an @ in it would be struck out.
_URL = re.compile(r"(?P<scheme>[a-zA-Z][\w+.\-]*://)(?:[^/\s@:'\"]*:[^\s'\"]*|[^/\s@'\"]+)@")
# ?token=…, &X-Amz-Signature=…, and the password=… of a database's keyword string
_PARAMETER = re.compile(
    rf"(?P<key>[?&;][\w.\-]*?(?:{_WORDS}|sig(?:nature)?)=|\b\w*(?:password|passwd|pwd)=)"
    r"(?P<value>[^\s&;'\"#]+)",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(
    rf"^(?P<key>(?:.*[+~_.\-])?{_WORDS})=(?P<value>.+)$", re.IGNORECASE | re.DOTALL
)
_ENV = re.compile(r"\$\{oc\.env:")
# Variables whose values identify a job or a user: these may stand in the name of a run's folder.
_NAMING = re.compile(r"(SLURM|PBS|LSB|SGE|OAR|FLUX|JOB|TASK|ARRAY|POD|HOSTNAME|USER|LOGNAME)\w*$")


class Redactor:
    """Knows the secrets of one config and of the environment, and strikes them out of anything."""

    def __init__(self, config: Any = None):
        self._secrets: set[str] = set()
        self._learn_environment()
        self._learn(config)

    def config(self, config: Any) -> dict[str, Any]:
        """`config` as plain values, resolved, without secrets."""
        raw = _plain(config, resolve=False)
        return self._walk(raw, _plain(config, resolve=True), "")

    def text(self, text: str) -> str:
        """`text` without known secrets, tokens of known formats and the credentials of URLs: user
        and password, and parameters such as `?password=`."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        text = _PARAMETER.sub(rf"\g<key>{MASK}", _URL.sub(rf"\g<scheme>{MASK}@", text))
        return tokens.masked(text, MASK)

    def arguments(self, argv: Iterable[str]) -> list[str]:
        """A command line, word by word: of `wandb.api_key=x` and `--token x` the x goes, and is
        known from then on."""
        words, hide = [], False
        for word in argv:
            found = None if hide else _ARGUMENT.match(word)
            secret = word if hide else found["value"] if found else ""
            if not _harmless(secret) and not (found and _FIELD.search(found["key"])):
                self._secrets.add(secret)
                word_shown = f"{found['key']}={MASK}" if found else MASK
            else:
                word_shown = self.text(word)
            words.append(word_shown)
            hide = word.startswith("--") and "=" not in word and bool(_KEY.search(word))
        return words

    def value(self, value: Any) -> Any:
        """Any nest of dicts, lists and strings without secrets."""
        return self._walk(value, value, "")

    def texts(self, value: Any, keep: Collection[str] = (), skip: Collection[str] = ()) -> Any:
        """Any nest of dicts, lists and strings with `text` applied to every string, keys too.

        keep: strings that stay as they are; skip: keys whose values stay, binary data
        """
        if isinstance(value, str):
            return value if value in keep else self.text(value)
        if isinstance(value, Mapping):
            return {
                self.texts(key, keep): one if key in skip else self.texts(one, keep, skip)
                for key, one in value.items()
            }
        if isinstance(value, (list, tuple)):
            if all(type(one) is float for one in value):  # a curve
                return value
            return [self.texts(one, keep, skip) for one in value]
        return value

    def _learn_environment(self) -> None:
        for name, value in os.environ.items():
            if _KEY.search(name) and len(value) >= 8 and not _is_path(name, value):
                self._secrets.add(value)

    def _learn(self, config: Any) -> None:
        raw, resolved = _plain(config, resolve=False), _plain(config, resolve=True)
        for key, before, after in _leaves(raw, resolved, ""):
            if not isinstance(after, str):
                continue
            from_env = isinstance(before, str) and _ENV.search(before) is not None
            if (from_env and len(after) >= 8) or (_secret(key, after) and len(after) >= 4):
                self._secrets.add(after)

    def _walk(self, raw: Any, resolved: Any, key: str) -> Any:
        if isinstance(resolved, Mapping):
            of = raw if isinstance(raw, Mapping) else {}
            return {str(k): self._walk(of.get(k, v), v, f"{key}.{k}") for k, v in resolved.items()}
        if isinstance(resolved, (list, tuple)):
            of = raw if isinstance(raw, (list, tuple)) and len(raw) == len(resolved) else resolved
            return [self._walk(b, a, key) for b, a in zip(of, resolved, strict=True)]
        if isinstance(raw, str) and _ENV.search(raw):
            return self.text(raw)
        if not isinstance(resolved, str):
            return resolved
        return MASK if _secret(key, resolved) else self.text(resolved)


def unnameable(raw: Any) -> list[str]:
    """The environment variables of an unresolved value that must not show in a file's name: all
    but those that identify a job, a host or a user."""
    names = re.findall(r"\$\{oc\.env:\s*['\"]?(\w+)", raw) if isinstance(raw, str) else []
    return [name for name in names if _KEY.search(name) or not _NAMING.match(name)]


def _secret(key: str, value: str) -> bool:
    """Whether the value at a dotted path is a secret."""
    return bool(_KEY.search(key)) and not _FIELD.search(key) and not _harmless(value)


def _is_path(name: str, value: str) -> bool:
    """Whether a variable says where something lies, as PWD or GOOGLE_APPLICATION_CREDENTIALS do:
    struck out, it would take the paths of the config with it."""
    return name == "PWD" or (os.path.isabs(value) and os.path.exists(value))


def _harmless(value: str) -> bool:
    return not value or value in ("null", "None", MASK) or bool(_SPECIAL.match(value))


def _plain(config: Any, *, resolve: bool) -> Any:
    if config is None:
        return {}
    if not OmegaConf.is_config(config):
        config = OmegaConf.create(config)
    assert isinstance(config, DictConfig)
    return OmegaConf.to_container(config, resolve=resolve)


def _leaves(raw: Any, resolved: Any, key: str):
    if isinstance(resolved, Mapping):
        for k, v in resolved.items():
            yield from _leaves(raw.get(k, v) if isinstance(raw, Mapping) else v, v, f"{key}.{k}")
    elif isinstance(resolved, list):
        same = isinstance(raw, list) and len(raw) == len(resolved)
        for before, after in zip(raw if same else resolved, resolved, strict=True):
            yield from _leaves(before, after, key)
    else:
        yield key, raw, resolved
