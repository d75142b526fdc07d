"""Other people's safetensors: a folder of them as a mapping, refused before memory is taken.

Nothing is believed: the index may name files of this folder only, a header must describe its file
to the byte, and a tensor is looked at for NaN and infinity when it is read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fxformer.errors import UserError
from fxformer.train.checkpoint_files import DTYPES

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
LONGEST_HEADER = 100_000_000  # the published limit of the format
PLAIN = re.compile(r"\w[\w.-]*\.safetensors")
READ = (".json", ".safetensors", ".txt", ".model", ".spm", ".tokenizer")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.msgpack", "*.h5")


class UnsafeError(UserError):
    """A file of weights that is not what it should be."""


class Tensor(NamedTuple):
    """Where a tensor lies. start: of its bytes, from the beginning of the file."""

    file: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape, dtype=object))


class TensorFiles(Mapping[str, Tensor]):
    """The tensors of a folder by name; headers only, `read` maps one into memory.

    Raises UnsafeError for whatever does not hold together, UserError where there is nothing.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).resolve()
        self._tensors: dict[str, Tensor] = {}
        for file, promised in self._files().items():
            found = header(file)
            for name in found.keys() & self._tensors.keys():
                raise UnsafeError(f"{file.name}: {name} is also in {self._tensors[name].file.name}")
            if promised is not None and promised != found.keys():
                odd = min(promised ^ found.keys())
                raise UnsafeError(f"{INDEX} and {file.name} disagree about {odd}")
            self._tensors |= found

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def read(self, name: str) -> np.ndarray:
        """The tensor; float16 and bfloat16 as float32. Raises UnsafeError for NaN and infinity."""
        at = self[name]
        array = np.zeros(at.shape, at.dtype)
        if array.size:
            array = np.memmap(at.file, at.dtype, "r", at.start, at.shape)
        if at.dtype.kind in "biu":
            return np.asarray(array)
        with np.errstate(over="ignore"):  # infinity is refused below
            array = np.asarray(array, np.float32)
        if not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array))[0].tolist()
            raise UnsafeError(f"{at.file.name}: {name}{bad} is not a finite number")
        return array

    def _files(self) -> Mapping[Path, set[str] | None]:
        """Each file and the names an index promises of it (None: no index)."""
        if (self.folder / INDEX).is_file():
            return self._indexed()
        if (self.folder / SINGLE).is_file():
            return {inside(self.folder, SINGLE): None}
        others = sorted(p.name for variant in PICKLES for p in self.folder.glob(variant))
        if others:
            raise UserError(
                f"{self.folder} has its weights in {others[0]}, a format that can run code or "
                "that this package does not read; convert it where you trust it: "
                "AutoModel.from_pretrained(DIR).save_pretrained(DIR, safe_serialization=True)"
            )
        raise UserError(
            f"{self.folder} holds neither {SINGLE} nor {INDEX}; weights in a .bin alone are not "
            "fetched and not read: convert them with save_pretrained where you trust them"
        )

    def _indexed(self) -> dict[Path, set[str]]:
        try:
            file = inside(self.folder, INDEX)
            if file.stat().st_size > LONGEST_HEADER:
                raise ValueError("it is larger than any index")
            index = json.loads(file.read_text(encoding="utf-8"))
            places = index["weight_map"].items()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnsafeError(f"{INDEX} cannot be read: {error!r}") from None
        files: dict[Path, set[str]] = {}
        for name, place in places:
            if not isinstance(place, str) or not PLAIN.fullmatch(place):
                raise UnsafeError(
                    f"{INDEX}: {name} lies in {place!r}, which is no safetensors file of its folder"
                )
            files.setdefault(inside(self.folder, place), set()).add(name)
        return files


def check_links(folder: Path) -> None:
    """UnsafeError for a link among the files one might read that leads out of the folder."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and path.suffix in READ and path.exists():
            inside(folder.resolve(), path.name)


def inside(folder: Path, name: str) -> Path:
    """A regular file of the folder itself. UnsafeError for a way out of it."""
    path = (folder / name).resolve()
    # the hub's cache links each file of a snapshot to ../../blobs/HASH
    blobs = folder.parent.parent / "blobs" if folder.parent.name == "snapshots" else None
    if path.parent not in (folder, blobs):
        raise UnsafeError(f"{name} is a link that leads out of {folder}")
    if not path.is_file():
        raise UnsafeError(f"{folder / name} is missing")
    return path


def header(file: Path) -> dict[str, Tensor]:
    """The tensors of one file, checked against its size. Raises UnsafeError."""
    total = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if total < 8 or length > min(total - 8, LONGEST_HEADER):
            raise UnsafeError(f"{file.name}: a header of {length} bytes in a file of {total}")
        text = opened.read(length)
    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
        entries.pop("__metadata__", None)
        found = {name: _tensor(file, 8 + length, entry) for name, entry in entries.items()}
    except UnsafeError as error:
        raise UnsafeError(f"{file.name}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnsafeError(f"{file.name}: its header cannot be read: {error!r}") from None
    _check_layout(file, 8 + length, total, found)
    return found


def _once(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise UnsafeError(f"{max(names, key=names.count)!r} stands twice in the header")
    return found


def _tensor(file: Path, base: int, entry: dict) -> Tensor:
    dtype, shape, (start, end) = DTYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
    if dtype is None:
        raise UnsafeError(f"dtype {entry['dtype']!r} is not read; known: {', '.join(DTYPES)}")
    if not all(type(n) is int and n >= 0 for n in (*shape, start, end)):
        raise UnsafeError(f"shape {shape} at bytes {start} to {end}")
    tensor = Tensor(file, dtype, tuple(shape), base + start)
    if tensor.size * dtype.itemsize != end - start:
        raise UnsafeError(f"a shape of {shape} does not fill bytes {start} to {end}")
    return tensor


def _check_layout(file: Path, base: int, total: int, found: dict[str, Tensor]) -> None:
    """Each byte after the header belongs to one tensor."""
    at = base
    for name, tensor in sorted(found.items(), key=lambda item: (item[1].start, item[1].size)):
        if tensor.start != at:
            what = "overlaps another tensor" if tensor.start < at else "leaves a hole before it"
            raise UnsafeError(f"{file.name}: {name} {what}")
        at += tensor.size * tensor.dtype.itemsize
    if at != total:
        raise UnsafeError(f"{file.name}: tensors end at byte {at}, the file at byte {total}")
