"""On-disk format of a checkpoint: state.safetensors and host.json, synced and with checksums.

The format is the published one (8 bytes of header length, a JSON header, raw little-endian data),
so any reader of safetensors opens the file. It is written here rather than by the library because
plain writes let other threads run and can be synced, and each array gets a checksum on the way.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.files import open_regular
from fxformer.rules import named

DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
HOST_FILE = "host.json"


class CheckpointError(UserError):
    """A checkpoint whose tree, shapes or dtypes are not those of the state to restore."""


class DamagedCheckpoint(UserError):
    """A file that is not what was written."""


def write_tensors(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Writes and syncs; returns {name: CRC-32 over name, dtype, shape and bytes}."""
    header, end = {}, 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": DTYPE_NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    sums = {}
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, array in arrays.items():
            data = _bytes(array)
            file.write(data)
            sums[name] = _tensor_checksum(name, header[name]["dtype"], array.shape, data)
        file.flush()
        os.fsync(file.fileno())
    return sums


def read_tensors(
    path: Path,
    sums: Mapping[str, int],
    verify: Callable[[str, tuple[int, ...]], bool] | None = None,
) -> dict[str, np.ndarray]:
    """Read arrays by name, verifying each checksum.

    verify: (name, shape) -> whether its checksum is verified; None: all are
    Raises DamagedCheckpoint unless the file holds exactly the arrays of `sums`, unchanged.
    """
    try:
        with open_regular(path) as file:
            raw = np.memmap(file, np.uint8, "r")
        length = int.from_bytes(raw[:8].tobytes(), "little")
        header = jsonl.value(raw[8 : 8 + length].tobytes())
        entries = {name: _entry(raw[8 + length :], entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{path}: {error}") from None
    if set(entries) != set(sums):
        odd = min(set(entries) ^ set(sums))
        raise DamagedCheckpoint(f"{path}: {odd} is missing or not expected")
    for name, (dtype, array) in entries.items():
        if verify is not None and not verify(name, array.shape):
            continue
        if _tensor_checksum(name, dtype, array.shape, _bytes(array)) != sums[name]:
            raise DamagedCheckpoint(f"{path}: {name} has changed since it was written")
    return {name: array for name, (_, array) in entries.items()}


def _entry(data: np.ndarray, entry: dict) -> tuple[str, np.ndarray]:
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= data.size:
        raise ValueError(f"bytes {start} to {end} of {data.size}")
    return entry["dtype"], data[start:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _tensor_checksum(name: str, dtype: str, shape: tuple[int, ...], data: memoryview) -> int:
    return zlib.crc32(data, zlib.crc32(json.dumps([name, dtype, list(shape)]).encode()))


def read_host(folder: Path) -> dict:
    """What `write_host` wrote into `folder`. Raises DamagedCheckpoint for anything else."""
    try:
        body = jsonl.load(folder / HOST_FILE)
        found = body.pop("sum")
        if found != _host_checksum(body):
            raise ValueError("its checksum differs")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{folder / HOST_FILE}: {error}") from None
    return body


def write_host(folder: Path, body: dict) -> None:
    """Write and sync the file, and sync the folder."""
    body = json.loads(json.dumps(body))  # as it will be read: keys are strings
    with (folder / HOST_FILE).open("w") as file:
        json.dump(body | {"sum": _host_checksum(body)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _host_checksum(body: dict) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def fill_tree(abstract: Any, arrays: dict[str, np.ndarray], where: Path) -> Any:
    """The tree `abstract` filled with arrays by path. Raises CheckpointError where they differ."""
    wanted = named(abstract)
    check_tree(wanted, arrays, where)
    # A copy: on CPU jax may alias host memory, and this is a mapped file that may be deleted.
    leaves = [
        jax.device_put(np.array(arrays[path]), getattr(leaf, "sharding", None))
        for path, leaf in wanted.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(abstract), leaves)


def check_tree(wanted: Mapping[str, Any], arrays: Mapping[str, Any], where: Path) -> None:
    """Raise CheckpointError where paths, shapes or dtypes of a checkpoint are not those wanted."""
    for path in [*wanted, *arrays]:
        if path not in arrays or path not in wanted:
            lack = "the checkpoint lacks" if path in wanted else "only the checkpoint has"
            raise CheckpointError(f"{where}: {lack} {path}; resume with the config of the run")
        new, old = wanted[path], arrays[path]
        if tuple(new.shape) != old.shape or new.dtype != old.dtype:
            raise CheckpointError(
                f"{where}: {path} is {old.dtype}{list(old.shape)} in the checkpoint and "
                f"{new.dtype}{list(new.shape)} here; resume with the config of the run"
            )
