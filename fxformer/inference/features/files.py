"""Features as one file: .npz or .parquet, written part by part."""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.features.parts import FeatureParts

SUFFIXES = (".npz", ".parquet")


def check_suffix(path: Path) -> None:
    """Raise UserError for a file that cannot be written: another suffix, or without pyarrow."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"--output {path}: write a name that ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as problem:
            raise UserError("Parquet files need pyarrow: pip install pyarrow") from problem


def assemble(parts: FeatureParts, path: Path) -> None:
    """Write all parts into one file, which appears whole; each part is in memory alone."""
    draft = path.with_name(f".{path.name}.draft")
    (_npz if path.suffix == ".npz" else _parquet)(parts, draft)
    os.replace(draft, path)


def _npz(parts: FeatureParts, draft: Path) -> None:
    """Each array of the parts joined along its first axis."""
    shapes: dict[str, tuple[int, tuple[int, ...], np.dtype]] = {}
    for part in parts:
        for name, array in part.items():
            count, _, dtype = shapes.get(name, (0, (), array.dtype))
            wider = max(dtype, array.dtype) if dtype.kind == "U" else dtype
            count = len(array) if name == "layers" else count + len(array)
            shapes[name] = count, array.shape[1:], wider
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED, allowZip64=True) as made:
        for name, (count, rest, dtype) in shapes.items():
            with made.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {
                    "descr": np.lib.format.dtype_to_descr(dtype),
                    "fortran_order": False,
                    "shape": (count, *rest),
                }
                np.lib.format.write_array_header_2_0(cast(Any, file), header)
                for part in parts:
                    file.write(np.ascontiguousarray(part[name], dtype).tobytes())
                    if name == "layers":  # the same in all
                        break


def _parquet(parts: FeatureParts, draft: Path) -> None:
    """A row for each input: id, label, feature_LAYER (list of D), tokens_LAYER (list of lists)."""
    import pyarrow as arrow
    from pyarrow import parquet

    writer = None
    try:
        for part in parts:
            table = arrow.table(_columns(part))
            writer = writer or parquet.ParquetWriter(draft, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _columns(part: dict[str, np.ndarray]) -> dict[str, Any]:
    import pyarrow as arrow

    found: dict[str, Any] = {name: arrow.array(part[name].tolist()) for name in ("id", "label")}
    layers = part["layers"].tolist()
    wide = {name: _with_layers(part[name]) for name in ("features", "tokens") if name in part}
    if "features" in part:
        for n, layer in enumerate(layers):
            found[f"feature_{layer}"] = arrow.array(
                list(wide["features"][:, n]), arrow.list_(arrow.float32())
            )
    if "tokens" in part:
        bounds = np.cumsum([0, *part["lengths"]])
        spans = list(zip(bounds[:-1], bounds[1:], strict=True))
        kind = arrow.list_(arrow.list_(arrow.float32()))
        for n, layer in enumerate(layers):
            rows: Iterable = [[*wide["tokens"][low:high, n]] for low, high in spans]
            found[f"tokens_{layer}"] = arrow.array(rows, kind)
        ids = [part["token_ids"][low:high] for low, high in spans]
        found["token_ids"] = arrow.array(ids, arrow.list_(arrow.int32()))
    return found


def _with_layers(array: np.ndarray) -> np.ndarray:
    """[n, L, D] of what may have no axis of layers."""
    return array[:, None] if array.ndim == 2 else array
