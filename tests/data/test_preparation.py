"""Preparation of text: the same for any number of processes, resumable, bounded in memory."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fxformer.data import file_hash, overlap, packing_index, preparation, shards, text_files, units
from fxformer.data.packing import Blocks, Padded, Segments
from fxformer.data.progress import Slow
from fxformer.data.records import JsonLines
from fxformer.data.special_tokens import Specials
from fxformer.data.survey import HeldOutCandidates
from fxformer.data.text import Text
from fxformer.data.text_hash import SequenceHash
from fxformer.data.tokenizer_basic import Byte, Char

WORDS = "amber brook cedar delta ember fjord grove heath islet jetty knoll ledge marsh".split()


def write_lines(path: Path, lines: int, seed: int = 0) -> None:
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for n in range(lines):
            file.write(f"{seed}.{n} {' '.join(rng.choices(WORDS, k=rng.randint(1, 19)))} é\n")


def corpus(folder, kind=Text, tokenizer=None, cache="cache", **knobs):
    base = dict(packing=Segments(), length=32, batch=4, cache_dir=str(folder / cache))
    base |= dict(files=str(folder / "*.txt")) | (dict(document_is="line") if kind is Text else {})
    return kind(tokenizer=tokenizer or Byte(specials=Specials()), **base | knobs)


@pytest.fixture
def small_units(monkeypatch):
    monkeypatch.setattr(units, "SMALLEST", 10_000)
    monkeypatch.setattr(shards, "SHARD_TOKENS", 4_000)


def content(made):
    """Everything that a run reads of a corpus."""
    splits = {}
    for split, documents in made.source.splits.items():
        splits[split] = (np.asarray(documents.tokens).tolist(), documents.bounds.tolist())
    return splits, made.source.facts


def test_units_shards_and_processes_do_not_change_what_is_read(tmp_path, monkeypatch):
    """One unit in one process; many small units and shards in one, in two and in three."""
    for seed in range(3):
        write_lines(tmp_path / f"{seed}.txt", 100, seed)
    expected = content(corpus(tmp_path))
    monkeypatch.setattr(units, "SMALLEST", 1_500)
    monkeypatch.setattr(shards, "SHARD_TOKENS", 1_000)
    assert len(corpus(tmp_path).units("train")) > 10
    for processes in (1, 2):
        made = corpus(tmp_path, cache=f"cache{processes}", processes=processes)
        assert content(made) == expected
    assert isinstance(made.source.splits["train"].tokens, shards.ShardedIds)
    assert made.source.facts["corpus_hash"] == expected[1]["corpus_hash"]


def test_a_part_of_a_file_has_the_lines_that_begin_in_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\n\nthree é\r\nfour".encode())
    whole = list(text_files.documents(path, "line", text_files.ReadStats()))
    size = path.stat().st_size
    for cut in range(1, size):
        ends = [(0, cut), (cut, None)]
        both = [text_files.documents(path, "line", text_files.ReadStats(), *end) for end in ends]
        assert [line for part in both for line in part] == whole, cut


def test_the_offset_of_a_bad_byte_is_that_in_the_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo three\nfour\xff\n")
    for start in (0, 4, 6, 14):
        part = text_files.documents(path, "line", text_files.ReadStats(), start)
        with pytest.raises(ValueError, match="byte 0xff at offset 18 "):
            list(part)


def test_a_large_file_of_records_is_read_in_parts(tmp_path, small_units):
    rows = [json.dumps({"text": f"record {n} {WORDS[n % 13] * 9}"}) for n in range(1000)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    made = corpus(tmp_path, JsonLines, files=str(tmp_path / "a.jsonl"))
    assert len(made.units("train")) > 3
    assert list(made.stream()) == [json.loads(row)["text"] for row in rows]
    (tmp_path / "a.jsonl").write_text("\n".join([*rows, "[]"]))
    again = corpus(tmp_path, JsonLines, files=str(tmp_path / "a.jsonl"))
    with pytest.raises(ValueError, match=r"line \d+ after byte \d+ has no 'text'"):
        list(again.stream())


def test_an_interrupted_preparation_goes_on_where_it_was(tmp_path, small_units, monkeypatch):
    write_lines(tmp_path / "a.txt", 2000)
    expected = content(corpus(tmp_path, cache="other"))
    read, real = [], Text.unit_texts

    def counted(self, unit, stats):
        read.append(unit)
        if len(read) == 2 * number + 3:  # while training text is tokenised
            raise KeyboardInterrupt
        return real(self, unit, stats)

    made = corpus(tmp_path)
    number = len(made.units("train"))
    monkeypatch.setattr(Text, "unit_texts", counted)
    assert 6 <= number
    with pytest.raises(KeyboardInterrupt):
        made.open()
    assert content(corpus(tmp_path)) == expected
    # Survey, tokenised held-out text and training text: once each, but for the one cut short.
    assert len(read) == 3 * number + 1
    assert not list(tmp_path.glob("cache/*/.*"))


@pytest.mark.parametrize(("owner", "name", "call"), [(shards, "join", 2), (Path, "unlink", 3)])
def test_the_last_step_goes_on_where_it_was(tmp_path, small_units, monkeypatch, owner, name, call):
    """Cut short between the joins of two splits, or while the files of units are deleted."""
    for seed in range(3):
        write_lines(tmp_path / f"{seed}.txt", 150, seed)
    expected = content(corpus(tmp_path, cache="other", code="file"))
    real, calls = getattr(owner, name), []

    def cut_short(*given, **knobs):
        calls.append(name)
        if len(calls) == call:
            raise OSError(28, "No space left on device")
        return real(*given, **knobs)

    monkeypatch.setattr(owner, name, cut_short)
    with pytest.raises(OSError, match="No space"):
        corpus(tmp_path, code="file").open()
    assert content(corpus(tmp_path, code="file")) == expected
    listed = {path.name for path in (tmp_path / "cache" / "corpora").glob("*/*")}
    other = {path.name for path in (tmp_path / "other" / "corpora").glob("*/*")}
    assert listed == other and not [one for one in listed if one.startswith((".", "hits"))]


def test_a_damaged_shard_of_an_interrupted_preparation_is_made_again(tmp_path, small_units):
    write_lines(tmp_path / "a.txt", 500)
    made = corpus(tmp_path)
    writer = shards.ShardWriter(tmp_path, "x")
    writer.add([np.arange(5), np.arange(0), np.arange(7)])
    (shard,) = writer.close()
    assert shard.is_sound(tmp_path, contents=True)
    (tmp_path / shard.name).write_bytes(bytes(4 * 12))
    assert shard.is_sound(tmp_path) and not shard.is_sound(tmp_path, contents=True)
    assert made.source


CHILD = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_preparation as t
t.units.SMALLEST = 15_000
made = t.corpus(Path(sys.argv[2]), tokenizer=t.Byte(specials=t.Specials()), processes=2)
print(made.source.facts["corpus_hash"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["parent", "worker"])
def test_kill_9_loses_no_finished_shard(tmp_path, kill, monkeypatch):
    write_lines(tmp_path / "a.txt", 20_000)
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (done := list(tmp_path.glob("cache/corpora/.*.parts/train.0*.json"))):
        assert child.poll() is None
        time.sleep(0.02)
    workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    os.kill(child.pid if kill == "parent" else int(workers[0]), signal.SIGKILL)
    said = child.communicate()[1]
    assert child.returncode != 0
    if kill == "worker":
        assert "was ended by signal 9; where memory is short, write a smaller data.proc" in said
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    times = {path: path.stat().st_mtime_ns for path in done}
    kept = {path: path.stat().st_mtime_ns for path in done[0].parent.glob("train.ids.*")}
    assert times and kept
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    (folder,) = tmp_path.glob("cache/corpora/*")
    cards = {
        Path(one["name"]).name for one in json.loads((folder / "train.shards.json").read_text())
    }
    finished = [path for path in kept if path.name in cards]
    unchanged = [p for p in finished if (folder / p.name).stat().st_mtime_ns == kept[p]]
    assert len(unchanged) >= len(times)
    monkeypatch.setattr(units, "SMALLEST", 15_000)
    fresh = corpus(tmp_path, cache="fresh")
    assert fresh.source.facts["corpus_hash"] == again.stdout.strip()


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_corpus(tmp_path):
    """The peak of a process that prepares and packs 20 MB is within 60 MB of that of 2 MB."""
    peaks = []
    for size in (1, 10):
        folder = tmp_path / str(size)
        folder.mkdir()
        line = "".join(f"{n} {' '.join(WORDS[n % 13 :])}\n" for n in range(1000))
        with (folder / "a.txt").open("w") as file:
            for n in range(2_000_000 * size // len(line)):
                file.write(line.replace("amber", f"amber{n}"))
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path\n"
            "import resource, test_preparation as t\n"
            "made = t.corpus(Path(sys.argv[2]), processes=1, valid_max=100_000)\n"
            "made.prepare(64).train(4, 0)[5]\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True).stdout))
    assert peaks[1] - peaks[0] < 60_000, peaks


def test_a_tokenizer_is_trained_on_a_seeded_sample_and_says_so(tmp_path, small_units, caplog):
    write_lines(tmp_path / "a.txt", 4000)
    char = Char(specials=Specials(), vocab_size=30)
    made = corpus(tmp_path, tokenizer=char, tokenizer_max=20_000)
    facts = made.source.facts["tokenizer_sample"]
    assert facts["characters"] <= 20_000 < facts["of"] == sum(made.survey.characters)
    assert "trained on a sample of 20,000 of" in caplog.text.replace("19,999", "20,000")
    again = corpus(tmp_path, tokenizer=char, tokenizer_max=20_000, cache="other")
    assert again.source.tokenizer.hash == made.source.tokenizer.hash
    with Slow("", "") as work:
        sample = preparation.TrainingSample.of(
            made, tuple(made.units("train")), made.survey, 20_000, work
        )
        read = list(sample)
    assert 0.7 * 20_000 < sum(map(len, read)) < 1.3 * 20_000
    assert not set(read) & set(made.documents("valid"))
    whole = corpus(tmp_path, tokenizer=char, cache="whole")
    assert "tokenizer_sample" not in whole.source.facts


@pytest.mark.parametrize("packing", [Segments(), Segments(window=100), Padded(), Blocks()])
def test_an_index_on_disk_gives_the_rows_of_one_in_memory(tmp_path, monkeypatch, packing):
    write_lines(tmp_path / "a.txt", 300)
    expected = corpus(tmp_path, packing=packing).prepare(40).packed["train"]
    monkeypatch.setattr(packing_index, "IN_MEMORY", 70)
    monkeypatch.setattr(packing_index, "_DOCUMENTS", 32)
    for _ in range(2):  # made, and found
        packed = corpus(tmp_path, packing=packing).prepare(40).packed["train"]
        every = np.arange(len(expected))
        assert len(packed) == len(expected) and packed.facts() == expected.facts()
        for name in ("tokens", "segments", "examples"):
            rows = (getattr(one.rows(every[::-1]), name) for one in (packed, expected))
            assert np.array_equal(*rows)
    on_disk = len(list(tmp_path.glob("cache/packing/*")))
    assert on_disk == (0 if isinstance(packing, Blocks) else 2)
    assert isinstance(packed.documents.bounds, np.memmap)


def test_what_is_held_out_has_a_bound(tmp_path):
    write_lines(tmp_path / "a.txt", 3000)
    source = corpus(tmp_path, valid_max=2000).source
    assert 500 < source.facts["valid"]["bytes"] < 3500
    assert source.facts["overlap"]["documents"] == 0


def test_candidates_are_a_function_of_the_documents_alone():
    rng = np.random.default_rng(0)
    documents = [(rng.bytes(12), int(rng.integers(1, 100))) for _ in range(3000)]
    sets = []
    for order in (documents, documents[::-1]):
        halves = [HeldOutCandidates(5000, 200) for _ in range(2)]
        for n, one in enumerate(order):
            halves[n % 2].add(*one)
        assert len(halves[0].sizes) <= 200 and not halves[0].complete
        merged = HeldOutCandidates(5000, 200)
        for half in halves:
            merged.merge(half)
        assert sum(merged.sizes.values()) <= 5000
        sets.append(merged.chosen(500))
    assert sets[0] == sets[1] and len(sets[0]) > 3


def test_documents_larger_than_all_that_is_held_out_leave_one_out(tmp_path):
    """Where there is room for no candidate, the document with the smallest hash is held out."""
    large = [f"0 {n} " * 999 + "." for n in range(40)]
    merged = HeldOutCandidates(8 * 100)
    for text in large:
        merged.add(overlap.key(text), len(text))
    expected = min(large, key=overlap.key)
    assert not merged.sizes and merged.chosen(100) == {overlap.key(expected)}
    for part in range(2):
        (tmp_path / f"{part}.txt").write_text("\n".join(large[part::2]))
    made = corpus(tmp_path, valid_max=100)
    assert list(made.documents("valid")) == [expected]
    assert made.source.facts["valid"]["documents"] == 1
    assert made.source.facts["train"]["documents"] == 39


def test_the_hash_of_a_sequence_follows_from_its_parts():
    texts = [f"{n}".encode() for n in range(20)]

    def hashed(some):
        made = SequenceHash()
        for text in some:
            made.add(text)
        return made

    for cut in (0, 7, 20):
        joined = hashed(texts[:cut])
        joined.extend(hashed(texts[cut:]))
        assert joined == hashed(texts)
    assert hashed(texts).hexdigest() != hashed(texts[::-1]).hexdigest()


def test_the_fingerprint_of_large_files_reads_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(file_hash, "READ_WHOLE", 10_000)
    monkeypatch.setattr(file_hash, "SAMPLE", 16)
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(100_000))
    first = file_hash.fingerprint([path])
    assert first == file_hash.fingerprint([path]) and first.startswith("sampled")
    stat = path.stat()
    path.write_bytes(bytes(50_000) + b"x" * 5000 + bytes(45_000))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_hash.fingerprint([path]) != first  # 5 % of it: met with certainty but for e-51
    path.write_bytes(bytes(100_000))
    assert file_hash.fingerprint([path]) != first  # another time
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_hash.fingerprint([path]) == first


def test_a_large_text_has_a_process_for_each_core_on_any_system(monkeypatch):
    large, small = (units.Unit("train", size=size) for size in (1 << 27, 1 << 20))
    assert preparation.Options().number((small,)) == 1
    assert preparation.Options(processes=3).number((small,)) == 3
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert preparation.Options().number((large,)) == os.cpu_count()


def test_progress_has_a_rate_and_the_time_left():
    work = Slow("Tokenising", "bytes", total=2_000_000_000)
    work.done = 500_000_000
    assert work.text(50) == "Tokenising: 500 MB of 2 GB, 10 MB/s, 2 min left"
    assert work.amount(3.2e12) == "3.2 TB" and work.amount(12) == "12 B"


def test_sharded_ids_are_read_like_one_array(tmp_path):
    whole = np.arange(100, dtype=np.int32)
    listed = []
    for n, (low, high) in enumerate([(0, 10), (10, 10), (10, 57), (57, 100)]):
        writer = shards.ShardWriter(tmp_path, f"x{n}")
        writer.add([whole[low:high]])
        listed += writer.close()
    ids = shards.ShardedIds(tmp_path, listed)
    assert len(ids) == ids.size == 100 and (np.asarray(ids) == whole).all()
    rng = np.random.default_rng(0)
    for index in (slice(5, 60), slice(None), slice(90, 3), slice(80, 20, -7), slice(0, 0), 57, -1):
        assert np.array_equal(ids[index], whole[index])
    for shape in ((7,), (3, 4), (0,)):
        at = rng.integers(-100, 100, shape)
        assert np.array_equal(ids[at], whole[at]) and ids[at].shape == shape
    assert np.array_equal(ids[whole % 3 == 0], whole[whole % 3 == 0])
    with pytest.raises(IndexError):
        ids[np.array([100])]
