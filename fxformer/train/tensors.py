"""A flat dict of arrays as one safetensors file, written through to the disk and checked by sums.

The format is the published one (8 bytes of header length, a JSON header, raw little-endian data),
so any reader of safetensors opens the file. It is written here rather than by the library because
plain writes let other threads run and can be synced, and each array gets a checksum on the way.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.files import open_regular

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
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Damaged(UserError):
    """A file that is not what was written."""


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Writes and syncs; returns {name: CRC-32 over name, dtype, shape and bytes}."""
    header, end = {}, 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": NAMES[array.dtype],
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
            sums[name] = _sum(name, header[name]["dtype"], array.shape, data)
        file.flush()
        os.fsync(file.fileno())
    return sums


def read(path: Path, sums: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Arrays by name, exactly those of `sums`, each checked. Raises Damaged for anything else."""
    try:
        with open_regular(path) as file:
            raw = np.memmap(file, np.uint8, "r")
        length = int.from_bytes(raw[:8].tobytes(), "little")
        header = jsonl.value(raw[8 : 8 + length].tobytes())
        entries = {name: _entry(raw[8 + length :], entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path}: {error}") from None
    if set(entries) != set(sums):
        odd = min(set(entries) ^ set(sums))
        raise Damaged(f"{path}: {odd} is missing or not expected")
    for name, (dtype, array) in entries.items():
        if _sum(name, dtype, array.shape, _bytes(array)) != sums[name]:
            raise Damaged(f"{path}: {name} has changed since it was written")
    return {name: array for name, (_, array) in entries.items()}


def _entry(data: np.ndarray, entry: dict) -> tuple[str, np.ndarray]:
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= data.size:
        raise ValueError(f"bytes {start} to {end} of {data.size}")
    return entry["dtype"], data[start:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _bytes(array: np.ndarray) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _sum(name: str, dtype: str, shape: tuple[int, ...], data: memoryview) -> int:
    return zlib.crc32(data, zlib.crc32(json.dumps([name, dtype, list(shape)]).encode()))
