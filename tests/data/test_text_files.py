"""Bad files are named with the place; odd but good ones are read."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys

import pytest

from fxformer.data import text_files
from fxformer.data.text_files import ReadStats, documents, find_all_files, find_files


def read(path, kind="file", errors="strict"):
    how = ReadStats(errors)
    return list(documents(path, kind, how)), how


def put(folder, content: bytes):
    path = folder / "a.txt"
    path.write_bytes(content)
    return path


def test_what_is_not_there_is_listed(tmp_path):
    (tmp_path / "empty.txt").touch()
    for pattern, said in [
        (None, "data.files is not given"),
        (str(tmp_path / "no*.txt"), r"no file matches '.*no\*\.txt'"),
        (str(tmp_path), r"is a folder; write data.files='.*/\*\.txt'"),
        (str(tmp_path / "empty.txt"), "is empty"),
    ]:
        with pytest.raises(ValueError, match=said):
            find_files(pattern, "data.files")


def test_empty_files_among_others_are_set_aside(tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "empty.txt.gz").write_bytes(gzip.compress(b""))
    full = put(tmp_path, b"x")
    files, empty = find_all_files(str(tmp_path / "*"), "data.files")
    assert files == [full] and [path.name for path in empty] == ["empty.txt", "empty.txt.gz"]
    assert find_files(str(tmp_path / "*"), "data.files") == [full]


def zstd(data):
    pa = pytest.importorskip("pyarrow")
    return pa.compress(data, codec="zstd", asbytes=True)


PACKED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("ending", PACKED)
def test_compressed_files_are_read_by_suffix(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK", 1000)
    text = "".join(f"line {n} é\n" for n in range(3000))
    pack, path = PACKED[ending], tmp_path / f"a.txt{ending}"
    path.write_bytes(pack(text.encode()))
    assert read(path)[0] == [text]
    path.write_bytes(pack(text[:500].encode()) + pack(text[500:].encode()))  # two members
    assert read(path)[0] == [text]
    path.write_bytes(pack(text.encode())[:-20])
    with pytest.raises(ValueError, match=f"a.txt{ending} is not a sound {ending} file"):
        read(path)
    path.write_bytes(b"plain text")
    with pytest.raises(ValueError, match=f"a.txt{ending} is not a sound {ending} file"):
        read(path)
    plain = put(tmp_path, pack(text.encode()))
    for errors in ("strict", "replace", "skip"):  # never trained on as if it were text
        with pytest.raises(ValueError, match=f"rename it so that it ends in {ending}"):
            read(plain, errors=errors)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    put(tmp_path, b"x").chmod(0)
    with pytest.raises(ValueError, match="cannot be read"):
        find_files(str(tmp_path / "*.txt"), "data.files")


@pytest.mark.parametrize(
    "before", [0, 1, text_files.BLOCK - 1, text_files.BLOCK, text_files.BLOCK + 5]
)
def test_the_offset_of_a_bad_byte_is_exact(tmp_path, before):
    path = put(tmp_path, b"a" * before + b"\xff" + b"b" * 10)
    with pytest.raises(ValueError, match=f"a.txt is not UTF-8: byte 0xff at offset {before} "):
        read(path)
    for errors, text in (("replace", "\ufffd"), ("skip", "")):
        (got,), how = read(path, errors=errors)
        assert got == "a" * before + text + "b" * 10
        assert how.bad_bytes == 1


def test_a_character_cut_by_the_end_of_the_file_is_bad(tmp_path):
    with pytest.raises(ValueError, match="offset 3 .unexpected end of data"):
        read(put(tmp_path, "abcé".encode()[:-1]))


@pytest.mark.parametrize("shift", range(5))
def test_blocks_do_not_cut_characters_or_line_ends(tmp_path, shift):
    text = "x" * (text_files.BLOCK - 3 + shift) + "é\r\n😀"
    assert read(put(tmp_path, text.encode()))[0] == [text.replace("\r\n", "\n")]


def test_byte_order_mark_line_ends_and_lookalikes(tmp_path):
    path = put(tmp_path, "\ufeffone\r\ntwo\rthree\n\n \nfour\u2028still four\x0c!\n".encode())
    assert read(path, "line")[0] == ["one", "two", "three", "four\u2028still four\x0c!"]
    assert read(path, "paragraph")[0] == ["one\ntwo\nthree", "four\u2028still four\x0c!"]
    assert read(path)[0] == ["one\ntwo\nthree\n\n \nfour\u2028still four\x0c!\n"]


@pytest.mark.parametrize("kind", ["file", "paragraph", "line"])
def test_long_documents_are_cut_without_loss(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(text_files, "LONGEST", 1000)
    monkeypatch.setattr(text_files, "BLOCK", 300)
    text = "abcdefghij" * 777
    parts, how = read(put(tmp_path, text.encode()), kind)
    assert "".join(parts) == text
    assert how.cut == len(parts) - 1 > 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_a_line_of_200_megabytes_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"word " * 200_000)
    child = (
        "import resource, sys, pathlib\n"
        "from fxformer.data import text_files\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 100_000_000,) * 2)\n"
        "got = text_files.documents(pathlib.Path(sys.argv[1]), 'line', text_files.ReadStats())\n"
        "print(sum(map(len, got)))\n"
    )
    done = subprocess.run([sys.executable, "-c", child, path], capture_output=True, text=True)
    assert done.stdout.strip() == "200000000", done.stderr
