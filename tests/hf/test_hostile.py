"""Folders made to do harm: none is imported, none makes a run, and no file outside is opened."""

import json
import os
import shutil
import sys
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fxformer.hf.import_model import import_model
from fxformer.hf.published_model import read_published
from tests.hf.fixture import HERE
from tests.hf.test_tensor_files import LIES, WAYS_OUT, write

OPENED: list[str] = []
WATCHING: list[bool] = []


def watch(event: str, args: tuple) -> None:
    if WATCHING and event in ("open", "os.listdir", "os.scandir"):
        OPENED.append(str(args[0]))


sys.addaudithook(watch)


def stated(**fields):
    """config.json with these fields changed; `...` takes one out."""

    def make(folder):
        file = folder / "config.json"
        found = json.loads(file.read_text()) | fields
        file.write_text(json.dumps({k: v for k, v in found.items() if v is not ...}))

    return make


def written(text):
    """config.json with this text."""
    return lambda folder: (folder / "config.json").write_bytes(text)


def weights(change):
    """The tensors, changed."""

    def make(folder):
        file = folder / "model.safetensors"
        made = change(load_file(file))
        save_file({k: np.ascontiguousarray(v) for k, v in made.items()}, file)

    return make


def lying(lie):
    """A header that lies."""
    header, data, length = LIES[lie]
    return lambda folder: write(folder, header, data, length=length)


def sharded(place):
    """An index whose one tensor lies somewhere else."""

    def make(folder):
        (folder / "model.safetensors").unlink()
        index = {"weight_map": {"bert.pooler.dense.bias": place}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return make


def linked(name):
    """A link that leads out."""

    def make(folder):
        secret, there = folder.parent / "secret" / name, (folder / name).is_file()
        shutil.copyfile(folder / (name if there else "config.json"), secret)
        (folder / name).unlink(missing_ok=True)
        os.symlink(secret, folder / name)

    return make


def file(name, content):
    """One more file."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda folder: (folder / name).write_bytes(text)


def pickled(folder):
    """Weights in a pickle, and no others."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")


def huge(folder):
    """A tensor of a terabyte in a file of a hundred bytes."""
    entry = {"dtype": "F32", "shape": [1 << 19, 1 << 19], "data_offsets": [0, 1 << 40]}
    write(folder, {"bert.pooler.dense.weight": entry}, bytes(8))


BIAS, TABLE = "bert.pooler.dense.bias", "bert.embeddings.word_embeddings.weight"
DEEP = b'{"model_type": "bert", "a": ' + b"[" * 200_000
TOKENS = {"model": {"type": "WordPiece", "vocab": {"[PAD]": 0, "[UNK]": 10**9}}, "added_tokens": []}

FOLDERS = {
    **{f"header: {lie}": lying(lie) for lie in LIES},
    **{f"index: {place!r}": sharded(place) for place in WAYS_OUT},
    **{
        f"link: {name}": linked(name)
        for name in (
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "generation_config.json",
            "vocab.txt",
            "model.safetensors.index.json",
        )
    },
    "a pickle": pickled,
    "a terabyte": huge,
    "an index of nothing": file("model.safetensors.index.json", {"weight_map": None}),
    "an index that is none": file("model.safetensors.index.json", b"\xff\xfe{"),
    "NaN": weights(lambda t: t | {BIAS: t[BIAS] * np.nan}),
    "infinity": weights(lambda t: t | {BIAS: t[BIAS] + np.inf}),
    "too large for float32": weights(lambda t: t | {BIAS: t[BIAS].astype(np.float64) + 1e300}),
    "whole numbers for weights": weights(lambda t: t | {BIAS: t[BIAS].astype(np.int32)}),
    "a weight too many": weights(lambda t: t | {"evil": t[BIAS]}),
    "a weight too few": weights(lambda t: {k: v for k, v in t.items() if k != BIAS}),
    "the same weight twice": weights(lambda t: t | {"pooler.dense.bias": t[BIAS]}),
    "another shape": weights(lambda t: t | {TABLE: t[TABLE].T}),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "a config without end": written(DEEP),
    "a config that is a list": written(b"[]"),
    "a config of bytes": written(b"\xff\xfe\x00"),
    "a config with NaN": written(b'{"model_type": "bert", "layer_norm_eps": NaN}'),
    "a config that says it twice": written(b'{"model_type": "bert", "model_type": "gpt2"}'),
    "a config of no family": stated(model_type=["bert"]),
    "code of its own": stated(auto_map={"AutoModel": "evil.Model"}),
    "a field of no one": stated(evil=True),
    "a billion layers": stated(num_hidden_layers=10**9),
    "a width beyond all": stated(hidden_size=10**15),
    "a length beyond all": stated(max_position_embeddings=10**15),
    "a width below 0": stated(hidden_size=-8),
    "half a layer": stated(num_hidden_layers=0.5),
    "no heads": stated(num_attention_heads=0),
    "heads that do not divide": stated(num_attention_heads=3),
    "an environment variable": stated(hidden_size="${oc.env:HOME}"),
    "an override in a number": stated(hidden_size="8 model.layers=9"),
    "a config for a number": stated(layer_norm_eps={"_target_": "os.system"}),
    "an infinite epsilon": written(
        b'{"model_type": "bert", "vocab_size": 23, "layer_norm_eps": 1e999}'
    ),
    "a list for a word": stated(hidden_act=["gelu"]),
    "architectures that are none": stated(architectures={"BertModel": 1}),
    "a token beyond the table": file("tokenizer.json", TOKENS),
    "a tokenizer that is none": file("tokenizer.json", b"{"),
    "a tokenizer of nothing": file("tokenizer.json", {"model": {"vocab": None}}),
    "more tokens than rows": file("vocab.txt", "\n".join(map(str, range(99))).encode()),
}


LARGE = ("header", "terabyte", "billion", "beyond the", "beyond all")


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.sample(5)
def test_none_is_imported(kind, tmp_path):
    folder, runs = tmp_path / "model", tmp_path / "runs"
    shutil.copytree(HERE / "bert", folder, ignore=shutil.ignore_patterns("*.npz"))
    (tmp_path / "secret").mkdir()
    FOLDERS[kind](folder)
    OPENED.clear()
    WATCHING.append(True)
    if any(word in kind for word in LARGE):  # it is slow
        tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            import_model(folder, runs=str(runs))
    finally:
        peak = tracemalloc.get_traced_memory()[1] if tracemalloc.is_tracing() else 0
        tracemalloc.stop()
        WATCHING.clear()
    inside = (str(folder), str(runs))
    ours = [path for path in OPENED if path.startswith(str(tmp_path))]
    assert ours and all(path.startswith(inside) for path in ours)
    assert not [path for path in OPENED if "secret" in path or path.endswith(".bin")]
    assert not runs.exists() or not list(runs.rglob("*.safetensors"))
    assert peak < 50e6
    assert not os.path.exists("pwned")


def test_there_are_enough_of_them():
    assert len(FOLDERS) >= 40


JUNK = (
    None,
    "x",
    "",
    [],
    {},
    [None],
    {"a": 1},
    -1,
    0,
    1.5,
    10**18,
    1e308,
    True,
    "${oc.env:HOME}",
    [[["global"], 10**9]],
    "a|b",
    ["full_attention"],
)
SOME = ("bert", "longformer", "qwen2", "t5", "deberta_v3_classes", "gpt_neo", "llama_long")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(f.name, marks=() if f.name in SOME[:2] else pytest.mark.slow)
        for f in sorted(HERE.glob("*"))
        if (f / "config.json").is_file()
    ],
)
def test_whatever_a_field_says_it_is_read_or_refused(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(HERE / name, folder)
    before = json.loads((folder / "config.json").read_text())
    read_, refused = 0, 0
    for field in before:
        for junk in JUNK:
            (folder / "config.json").write_text(json.dumps(before | {field: junk}))
            try:
                read_published(folder)
                read_ += 1
            except ValueError:
                refused += 1
    assert read_ and refused
