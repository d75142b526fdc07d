"""Files on object stores, through fsspec: s3://, gs://, hf://, https:// and others.

fsspec and the package of a store are imported when a file is named by a URL. Credentials come from
where the store's own tools look for them (environment, profiles); those in a URL are never shown.
"""

import dataclasses
import glob
import re
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from fxformer.errors import UserError

_USER = re.compile(r"(?<=://)[^/@]*@")
_QUERY = re.compile(r"\?.*$")


def is_url(pattern: str) -> bool:
    """Whether a pattern names files of a store."""
    return re.match(r"[a-zA-Z][\w+.\-]*://", pattern) is not None


def shown(url: str) -> str:
    """A URL without user, password and parameters."""
    return _QUERY.sub("?…", _USER.sub("…@", url))


@dataclasses.dataclass(frozen=True, order=True)
class RemoteFile:
    """A file of a store, with as much of `Path` as the readers of corpora use.

    size: in bytes; version: changes with the contents, as the store says (ETag, time, checksum)
    """

    url: str
    size: int = 0
    version: str = ""

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def _path(self) -> PurePosixPath:
        return PurePosixPath(_QUERY.sub("", self.url))

    @property
    def suffix(self) -> str:
        return self._path.suffix

    @property
    def stem(self) -> str:
        return self._path.stem

    @property
    def name(self) -> str:
        return self._path.name

    def with_suffix(self, suffix: str) -> PurePosixPath:
        return self._path.with_suffix(suffix)

    def open(self, mode: str = "rb") -> BinaryIO:
        """The file, for reading bytes. UserError where the store refuses."""
        system, path = _system(self.url)
        try:
            return system.open(path, mode)
        except Exception as problem:
            raise UserError(f"{self} cannot be read ({_words(problem, self.url)})") from None


def find(pattern: str, knob: str) -> list[RemoteFile]:
    """The files that match a URL, which may be a glob pattern. UserError where there are none."""
    system, path = _system(pattern, knob)
    try:
        paths = system.glob(path) if glob.has_magic(path) else [path] * system.exists(path)
        found = [_file(system, one, system.info(one)) for one in paths]
    except Exception as problem:
        raise UserError(f"{knob}: {shown(pattern)}: {_words(problem, pattern)}") from None
    files = [file for file in found if file is not None]
    if not files:
        raise UserError(f"{knob}: no file matches {shown(pattern)!r}")
    return files


def _file(system: Any, path: str, info: dict) -> RemoteFile | None:
    if info.get("type") == "directory":
        return None
    return RemoteFile(system.unstrip_protocol(path), int(info.get("size") or 0), system.ukey(path))


def _system(url: str, knob: str = "data.files") -> tuple[Any, str]:
    """The file system of a URL, and the path in it. UserError for a missing package."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UserError(
            f"{knob}: {shown(url)} needs fsspec and the package of its store: pip install "
            "'fxformer[remote]' (s3fs for s3://, gcsfs for gs://, huggingface_hub for hf://)"
        ) from None
    try:
        return url_to_fs(url)
    except ImportError as problem:
        raise UserError(f"{knob}: {shown(url)}: {_words(problem, url)}") from None
    except ValueError as problem:
        raise UserError(f"{knob}: {shown(url)}: {_words(problem, url)}") from None


def _words(problem: Exception, url: str) -> str:
    """The message of an error of a store, in one line, without the URL's credentials."""
    words = " ".join(str(problem).replace(url, shown(url)).split())
    return _USER.sub("…@", words)[:300] or type(problem).__name__
