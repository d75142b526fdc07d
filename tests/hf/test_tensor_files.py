"""Files of weights that lie: each is refused, and nothing outside the folder is opened."""

import json
import os
import struct
import sys

import ml_dtypes
import numpy as np
import pytest

from fxformer.hf.tensor_files import TensorFiles, UnsafeError


def write(folder, header, data=b"", name="model.safetensors", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = struct.pack("<Q", len(text) if length is None else length)
    (folder / name).write_bytes(size + text + data)
    return folder


def entry(shape=(2,), dtype="F32", at=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(at)}


LIES = {
    "header longer than the file": ({"a": entry()}, bytes(8), 1 << 40),
    "header of no bytes": ({"a": entry()}, bytes(8), 0),
    "no json": (b"{", bytes(8), None),
    "no mapping": (b"[1]", bytes(8), None),
    "deep json": (b'{"a":' * 100_000, b"", None),
    "shape larger than its bytes": ({"a": entry((1 << 40,))}, bytes(8), None),
    "shape that overflows": ({"a": entry((1 << 33, 1 << 33), at=(0, 0))}, b"", None),
    "negative shape": ({"a": entry((-2,))}, bytes(8), None),
    "fractional shape": ({"a": entry((2.0,))}, bytes(8), None),
    "offsets past the end": ({"a": entry(at=(8, 16))}, bytes(8), None),
    "offsets backwards": ({"a": entry(at=(8, 0))}, bytes(8), None),
    "negative offsets": ({"a": entry(at=(-8, 0))}, bytes(8), None),
    "overlap": ({"a": entry(), "b": entry(at=(4, 12))}, bytes(12), None),
    "hole": ({"a": entry(), "b": entry(at=(12, 20))}, bytes(20), None),
    "trailing bytes": ({"a": entry()}, bytes(9), None),
    "unknown dtype": ({"a": entry(dtype="F8_X")}, bytes(8), None),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8), None),
    "twice the same name": (
        b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry()).encode() + b"}",
        bytes(8),
        None,
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused(lie, tmp_path):
    header, data, length = LIES[lie]
    with pytest.raises(UnsafeError):
        TensorFiles(write(tmp_path, header, data, length=length))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_refused_by_name(bad, tmp_path):
    data = np.array([1, bad], np.float32).tobytes()
    files = TensorFiles(write(tmp_path, {"layer.weight": entry()}, data))
    with pytest.raises(UnsafeError, match=r"layer.weight\[1\]"):
        files.read("layer.weight")


@pytest.mark.parametrize("dtype,numpy", [("F16", np.float16), ("BF16", ml_dtypes.bfloat16)])
def test_half_precision_is_read_as_float32(dtype, numpy, tmp_path):
    numbers = np.array([1.5, -0.25], numpy)
    files = TensorFiles(write(tmp_path, {"a": entry(dtype=dtype, at=(0, 4))}, numbers.tobytes()))
    assert files.read("a").dtype == np.float32
    assert files.read("a").tolist() == [1.5, -0.25]


def sharded(folder, places):
    write(folder, {"a": entry()}, bytes(8), name="one.safetensors")
    index = {"weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_shards_are_one_mapping(tmp_path):
    sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    write(tmp_path, {"b": entry()}, bytes(8), name="two.safetensors")
    assert set(TensorFiles(tmp_path)) == {"a", "b"}


WAYS_OUT = [
    "../secret.safetensors",
    "/etc/secret.safetensors",
    "x/../one.safetensors",
    ".",
    "",
    "https://example.org/x.safetensors",
    "one.safetensors\0",
    "~/x.safetensors",
    7,
    None,
    "model.bin",
    "..\\secret.safetensors",
]


@pytest.mark.parametrize("place", WAYS_OUT)
def test_an_index_leads_nowhere_else(place, tmp_path):
    inside = tmp_path / "model"
    inside.mkdir()
    write(tmp_path, {"a": entry()}, bytes(8), name="secret.safetensors")
    opened = []
    sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
    with pytest.raises(UnsafeError):
        TensorFiles(sharded(inside, {"a": place}))
    assert not any("secret" in str(path) for path in opened)


def test_a_link_that_leads_out_is_refused(tmp_path):
    inside = tmp_path / "model"
    inside.mkdir()
    write(tmp_path, {"a": entry()}, bytes(8), name="secret.safetensors")
    os.symlink(tmp_path / "secret.safetensors", inside / "model.safetensors")
    with pytest.raises(UnsafeError, match="link"):
        TensorFiles(inside)


def test_an_index_and_its_files_must_agree(tmp_path):
    with pytest.raises(UnsafeError, match="disagree about b"):
        TensorFiles(sharded(tmp_path, {"a": "one.safetensors", "b": "one.safetensors"}))
    with pytest.raises(UnsafeError, match="missing"):
        TensorFiles(sharded(tmp_path, {"a": "two.safetensors"}))


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match="save_pretrained"):
        TensorFiles(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ValueError, match="neither"):
        TensorFiles(tmp_path)
