"""Files on stores: found, read, and known by their version; without packages, advice."""

import gzip
import json
import sys

import pytest

from fxformer.data.file_hash import fingerprint
from fxformer.data.labelled import sources
from fxformer.data.labelled.readers import ReadOptions
from fxformer.data.labelled.sources import FileList, records
from fxformer.data.packing import Segments
from fxformer.data.records import JsonLines, Parquet
from fxformer.data.remote_files import RemoteFile, find, is_url, shown
from fxformer.data.special_tokens import Specials
from fxformer.data.text import Text
from fxformer.data.text_files import ReadStats
from fxformer.data.tokenizer_basic import Byte

LINES = [f"line {n} {'abcdefg'[n % 7] * 9}" for n in range(200)]


@pytest.fixture
def store():
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.pipe("/corpus/other", b"")
    yield system
    system.rm("/corpus", recursive=True)


def corpus(folder, kind, files, **knobs):
    base = dict(packing=Segments(), length=32, batch=4, cache_dir=str(folder / "cache"))
    return kind(files=files, tokenizer=Byte(specials=Specials()), **base | knobs)


def test_text_of_a_store_is_read_like_that_of_a_disk(store, tmp_path):
    store.pipe("/corpus/a.txt", "\n".join(LINES[:120]).encode())
    store.pipe("/corpus/deep/b.txt.gz", gzip.compress("\n".join(LINES[120:]).encode()))
    made = corpus(tmp_path, Text, "memory://corpus/**/*.txt*", document_is="line")
    assert sorted(made.stream()) == sorted(LINES)
    (tmp_path / "a.txt").write_text("\n".join(made.stream()))
    local = corpus(tmp_path, Text, str(tmp_path / "a.txt"), document_is="line")
    assert made.source.facts["corpus_hash"] == local.source.facts["corpus_hash"]
    assert len(made.prepare(33).packed["train"]) == len(local.prepare(33).packed["train"])


def test_records_of_a_store(store, tmp_path):
    rows = [{"text": line} for line in LINES]
    store.pipe("/corpus/a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    made = corpus(tmp_path, JsonLines, ["memory://corpus/a.jsonl"])
    assert list(made.stream()) == LINES
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    with store.open("/corpus/a.parquet", "wb") as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    assert list(corpus(tmp_path, Parquet, "memory://corpus/*.parquet").stream()) == LINES


def test_labelled_rows_of_a_store(store):
    store.pipe("/corpus/a.csv", b"text,label\nfine,1\npoor,0\n")
    store.pipe("/corpus/b.txt", b"A\nB\n")
    given = FileList("train", "", "memory://corpus/a.csv", {"pair": "memory://corpus/b.txt"})
    known = dict(columns={}, header=True, delimiter=None, quote='"', document_is="line")
    options = ReadOptions(format="auto", **known)
    rows = [one.values for one in records(given, options, ReadStats())]
    assert rows == [
        {"text": "fine", "label": "1", "pair": "A"},
        {"text": "poor", "label": "0", "pair": "B"},
    ]
    first = sources.fingerprint(given)
    store.pipe("/corpus/b.txt", b"A\nC\n")
    assert sources.fingerprint(given) != first


def test_a_change_in_a_store_is_noticed(store):
    store.pipe("/corpus/a.txt", b"one")
    first = fingerprint(find("memory://corpus/*.txt", "data.files"))
    assert first == fingerprint(find("memory://corpus/*.txt", "data.files"))
    store.pipe("/corpus/a.txt", b"two")
    assert fingerprint(find("memory://corpus/*.txt", "data.files")) != first


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://corpus/none*.txt", "data.files: no file matches 'memory://corpus/none"),
        ("nostore://user:hunter2@corpus/a.txt", "nostore://…@corpus/a.txt: Protocol not known"),
    ],
)
def test_what_cannot_be_found_is_said_without_credentials(store, tmp_path, url, said):
    with pytest.raises(ValueError, match=said.replace("*", r"\*")) as raised:
        corpus(tmp_path, Text, url).open()
    assert "hunter2" not in str(raised.value)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ValueError, match=r"s3://…@b/a.txt needs fsspec .* 'fxformer\[remote\]'"):
        corpus(tmp_path, Text, "s3://key:hunter2@b/a.txt").open()


def test_credentials_in_urls_are_not_shown():
    assert shown("s3://key:hunter2@bucket/a.txt") == "s3://…@bucket/a.txt"
    assert shown("https://host/a.txt?sig=hunter2") == "https://host/a.txt?…"
    file = RemoteFile("s3://key:hunter2@bucket/a.txt.gz")
    assert "hunter2" not in f"{file}" and (file.suffix, file.name) == (".gz", "a.txt.gz")
    assert is_url("gs://x/*") and not is_url("C:/x") and not is_url("a/b://c")
