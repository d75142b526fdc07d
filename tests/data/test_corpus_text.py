"""A corpus of text: split once, tokenised once, the same for everybody."""

import csv
import gzip
import io
import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from fxformer.data.huggingface import HuggingFace
from fxformer.data.packing import Blocks, Segments
from fxformer.data.records import Delimited, JsonLines, Parquet
from fxformer.data.special_tokens import Specials
from fxformer.data.text import Text
from fxformer.data.tokenizer_basic import Byte, Char, NoTokenizer
from fxformer.data.tokenizer_fast import WordPiece

LINES = [f"Line number {i} says {'abcdefgh'[i % 8] * (i % 13)}é." for i in range(200)]


def corpus(folder, kind=Text, tokenizer=None, **knobs):
    base = dict(packing=Segments(), length=32, batch=4, cache_dir=str(folder / "cache"))
    return kind(tokenizer=tokenizer or Byte(specials=Specials()), **base | knobs)


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(LINES), encoding="utf-8")
    return corpus(tmp_path, files=str(tmp_path / "*.txt"), document_is="line")


def texts(source, split):
    d = source.splits[split]
    both = zip(d.bounds, d.bounds[1:], strict=False)
    return [source.tokenizer.decode(d.tokens[low:high]) for low, high in both]


def test_the_split_is_a_partition_by_content(lines, tmp_path):
    train, valid = texts(lines.source, "train"), texts(lines.source, "valid")
    assert sorted(train + valid) == sorted(LINES) and not set(train) & set(valid)
    assert 0.05 < sum(map(len, valid)) / sum(map(len, LINES)) < 0.15
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.txt").write_text("\n".join(reversed(LINES)), encoding="utf-8")
    other = corpus(tmp_path, files=str(tmp_path / "b/*.txt"), document_is="line")
    assert sorted(texts(other.source, "valid")) == sorted(valid)


def test_one_document_is_split_at_its_tail(tmp_path):
    (tmp_path / "a.txt").write_text("abcdefghij" * 10)
    one = corpus(tmp_path, files=str(tmp_path / "a.txt"), packing=Blocks())
    assert texts(one.source, "train") == ["abcdefghij" * 9]
    assert texts(one.source, "valid") == ["abcdefghij"]
    assert one.source.facts["split_by"] == "tail"


def test_a_split_that_is_given_is_taken(tmp_path):
    (tmp_path / "a.txt").write_text("train text")
    (tmp_path / "v.txt").write_text("valid text")
    given = dict(files=str(tmp_path / "a.txt"), valid_files=str(tmp_path / "v.txt"))
    source = corpus(tmp_path, **given).source
    assert (texts(source, "train"), texts(source, "valid")) == (["train text"], ["valid text"])
    with pytest.raises(ValueError, match="in both data.files and data.valid_files"):
        corpus(tmp_path, files=str(tmp_path / "*.txt"), valid_files=given["valid_files"]).open()


@pytest.mark.parametrize("copies", [1, 2, 3, 5, 10])
def test_the_share_held_out_does_not_grow_with_copies(tmp_path, copies):
    documents = [f"{i} {'abcdefgh'[i % 8] * (1 + i % 13)}" for i in range(300)]
    (tmp_path / "a.txt").write_text("\n".join(documents * copies))
    source = corpus(tmp_path, files=str(tmp_path / "a.txt"), document_is="line").source
    sizes = {split: source.facts[split]["bytes"] for split in ("train", "valid")}
    assert sizes["valid"] / sum(sizes.values()) == pytest.approx(0.1, abs=0.01)
    assert source.facts["overlap"]["documents"] == 0


def test_a_line_repeated_often_does_not_move_the_share(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(LINES + ["the same line again and again"] * 2000))
    facts = corpus(tmp_path, files=str(tmp_path / "a.txt"), document_is="line").source.facts
    whole = facts["valid"]["bytes"] + facts["train"]["bytes"]
    assert facts["valid"]["bytes"] / whole == pytest.approx(0.1, abs=0.02)


def test_near_duplicates_stay_on_one_side(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(LINES + [line + " " for line in LINES]))
    source = corpus(tmp_path, files=str(tmp_path / "a.txt"), document_is="line").source
    sides = [{line.strip() for line in texts(source, split)} for split in ("train", "valid")]
    assert not sides[0] & sides[1] and sides[1]


def test_a_copied_file_as_held_out_text_is_noticed(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    (tmp_path / "copy.txt").write_text("\n".join(LINES).replace(" ", "  "))
    both = dict(files=str(tmp_path / "a.txt"), valid_files=str(tmp_path / "copy.txt"))
    for _ in range(2):  # the second time from the cache
        caplog.clear()
        facts = corpus(tmp_path, **both).source.facts
        assert "100.0% of the held-out documents are also in" in caplog.text
    assert facts["overlap"]["documents"] == facts["overlap"]["text"] == 1


def test_round_trips_are_measured(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    knobs = dict(files=str(tmp_path / "a.txt"), document_is="line")
    trip = corpus(tmp_path, **knobs).source.facts["valid"]["round_trip"]
    assert trip["exact"] == trip["documents"] > 0 and trip["missing"] == trip["added"] == 0
    lossy = Char(specials=Specials(), vocab_size=12)
    trip = corpus(tmp_path, tokenizer=lossy, **knobs).source.facts["valid"]["round_trip"]
    assert trip["exact"] == 0 and trip["missing"] > 50


def test_facts_count_what_is_there(lines):
    ready = lines.prepare(33)
    facts = json.loads(json.dumps(ready.facts))
    for split in ("train", "valid"):
        size = sum(len(text.encode()) for text in texts(lines.source, split))
        assert facts[split]["bytes"] == facts[split]["tokens"] == size
        assert facts["packing"][split]["tokens_in"] == size
        assert facts["packing"][split]["tokens_dropped"] == 0
    assert facts["bytes_per_token"] == 1 and facts["bad_bytes"] == facts["documents_cut"] == 0
    held = sum((rows.tokens >= 5).sum() for rows in ready.valid(4))
    assert held == facts["valid"]["tokens"]


def test_the_second_time_nothing_is_made_again(lines, tmp_path, monkeypatch):
    first = lines.source
    monkeypatch.setattr(Text, "unit_texts", lambda *_: pytest.fail("read again"))
    again = corpus(tmp_path, files=lines.files, document_is="line").source
    assert again.facts == first.facts and texts(again, "train") == texts(first, "train")


def test_a_change_of_the_text_or_a_knob_is_noticed(lines, tmp_path):
    def content(kind):
        return corpus(tmp_path, files=lines.files, document_is=kind).source.facts["corpus_hash"]

    seen = {content("line"), content("paragraph")}
    (tmp_path / "a.txt").write_text("\n".join(LINES[:-1]), encoding="utf-8")
    assert len(seen | {content("line")}) == 3


def test_a_cache_cut_short_is_made_anew(lines, tmp_path):
    expected = texts(lines.source, "train")
    (ids,) = tmp_path.glob("cache/corpora/*/train.ids.000000.000")
    ids.write_bytes(ids.read_bytes()[:-4])
    (card,) = tmp_path.glob("cache/tokenizers/*/*.json")
    card.write_text(card.read_text()[:40])
    again = corpus(tmp_path, files=lines.files, document_is="line")
    assert texts(again.source, "train") == expected


def test_processes_that_start_together_agree(lines, tmp_path):
    child = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_corpus_text import *\n"
        "from fxformer.data.tokenizer_fast import WordPiece\n"
        "folder = Path(sys.argv[2])\n"
        "wordpiece = WordPiece(specials=Specials(), vocab_size=90)\n"
        "c = corpus(folder, tokenizer=wordpiece, files=str(folder / '*.txt'), document_is='line')\n"
        "print(c.prepare(32).facts)\n"
    )
    command = [sys.executable, "-c", child, str(Path(__file__).parent), str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [racer.communicate()[0] for racer in racers]
    assert all(racer.returncode == 0 for racer in racers) and len(set(said)) == 1
    assert len(list(tmp_path.glob("cache/*/*"))) == 3  # one survey, one tokenizer, one corpus
    assert not [path for path in tmp_path.glob("cache/*/.*")]


def test_train_alone_decides_the_tokenizer(tmp_path):
    (tmp_path / "a.txt").write_text("abcabc")
    (tmp_path / "v.txt").write_text("abcz")
    char = Char(specials=Specials())
    source = corpus(
        tmp_path, tokenizer=char, files=str(tmp_path / "a.txt"), valid_files=str(tmp_path / "v.txt")
    ).source
    assert source.tokenizer.characters == "abc"
    assert source.splits["valid"].tokens.tolist() == [5, 6, 7, 1]


def test_text_without_a_tokenizer_is_refused(lines, tmp_path):
    for none in (NoTokenizer(), None):
        lines.tokenizer = none
        with pytest.raises(ValueError, match="tokenizer"):
            lines.open()


def test_bad_bytes_are_counted_in_the_facts(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\nt\xffwo\nth\xfere\n")
    knobs = dict(files=str(tmp_path / "a.txt"), document_is="line")
    with pytest.raises(ValueError, match="byte 0xff at offset 5"):
        corpus(tmp_path, **knobs).open()
    assert corpus(tmp_path, **knobs, encoding_errors="skip").source.facts["bad_bytes"] == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("text " * 99)
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(ValueError, match="data.cache_dir"):
        corpus(tmp_path, files=str(tmp_path / "a.txt")).open()


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"body": line}) + "\n\n" for line in LINES))
    source = corpus(tmp_path, JsonLines, files=str(path), key="body").source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
    for content, said in [
        ('{"body": "x"}\n{"text": "x"}', r"line 2 has no 'body' \(data.key\); it has: text"),
        ('{"body": "x"}\nnot json', "line 2 is not JSON"),
        ('{"body": 3}', "line 1: 'body' is not a string but int"),
        ('{"body": "x"}\n\n{"body": 3}', "line 3: 'body' is not a string but int"),
        ('{"body": "\\ud83d"}', "line 1: lone surrogate"),
        ("[]", "line 1 has no 'body'.* list"),
    ]:
        path.write_text(content)
        with pytest.raises(ValueError, match=said):
            corpus(tmp_path, JsonLines, files=str(path), key="body").open()
    path.write_text('{"body": "a\\ud83db"}\n{"body": "c"}')
    mended = corpus(tmp_path, JsonLines, files=str(path), key="body", encoding_errors="skip").source
    assert sorted(texts(mended, "train") + texts(mended, "valid")) == ["ab", "c"]


def test_null_and_blank_records_are_left_out_and_counted(tmp_path):
    records = [{"body": line} for line in LINES] + [{"body": None}, {"body": " "}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    rows = [f'"{line}",1' for line in LINES] + [",1", " ,1"]
    (tmp_path / "a.csv").write_text("\n".join(["body,n", *rows]))
    for kind, name, knob in ((JsonLines, "a.jsonl", "key"), (Delimited, "a.csv", "column")):
        source = corpus(tmp_path, kind, files=str(tmp_path / name), **{knob: "body"}).source
        assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
        assert source.facts["records_blank"] == 2


def test_dotted_keys(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [{"a": {"b": line}, "k": {"c": "x"}} for line in LINES]
    lines += [{"a": None, "k": {"c": "x"}}, {"a": {"b": None}, "k": {"c": "x"}}]
    path.write_text("\n".join(map(json.dumps, lines)))
    knobs = dict(files=str(path), code="k.c")
    source = corpus(tmp_path, JsonLines, **knobs, key="a.b").source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
    assert source.facts["records_blank"] == 2 and list(source.facts["codes"]) == ["x"]
    with pytest.raises(ValueError, match="no 'a.c' .data.key.; it has under 'a': b"):
        corpus(tmp_path, JsonLines, **knobs, key="a.c").open()
    path.write_text('{"a.b": "an undotted key"}\n{"a.b": "wins"}')
    plain = corpus(tmp_path, JsonLines, files=str(path), key="a.b").source
    assert sorted(texts(plain, "train") + texts(plain, "valid")) == ["an undotted key", "wins"]


QUOTED = ['say "this"', "two\nlines", "a, b; c", "plain"] + LINES[:20]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz"])
def test_delimited_files(tmp_path, name):
    text = io.StringIO()
    delimiter = "\t" if "tsv" in name else ","
    rows = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    rows.writerows([["n", "body"], *([str(n), line] for n, line in enumerate(QUOTED))])
    data = text.getvalue().encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    source = corpus(tmp_path, Delimited, files=str(tmp_path / name), column="body").source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(QUOTED)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\nx,y\n", r"no column 'text' \(data.column\): a, b"),
        ("a;text\nx;y\n", "write data.delimiter=';'"),
        ("text,b\nx,y\nx,y,z\n", "line 3: 3 values, and the first row names 2 columns"),
        ('text\n"open\n', "line 2: unexpected end of data; data.quote=null"),
    ],
)
def test_delimited_files_that_cannot_be_read(tmp_path, content, said):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=said):
        corpus(tmp_path, Delimited, files=str(tmp_path / "a.csv")).open()


def test_an_empty_file_among_many_is_counted(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    (tmp_path / "b.txt").touch()
    facts = corpus(tmp_path, files=str(tmp_path / "*.txt"), document_is="line").source.facts
    assert facts["files_empty"] == 1


def test_wordpiece_does_not_hold_the_text(tmp_path):
    """The corpus is read twice; no more than one document is alive at a time."""
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    passes, alive, most = [0], weakref.WeakSet(), [0]

    class Document(str):
        __slots__ = ("__weakref__",)

    class Documents:
        def __iter__(self):
            passes[0] += 1
            for line in LINES:
                text = Document(line)
                alive.add(text)
                most[0] = max(most[0], len(alive))
                yield text

    recipe = WordPiece(specials=Specials(), vocab_size=90)
    made = recipe.make(Documents())
    assert passes == [2] and most[0] < len(LINES)
    assert made.hash == recipe.make(list(LINES)).hash == recipe.make(iter(LINES)).hash


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": [*LINES, None, " "], "n": [0] * 202}), path)
    source = corpus(tmp_path, Parquet, files=str(path), column="body").source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
    assert source.facts["records_blank"] == 2
    nested = tmp_path / "nested.parquet"
    pq.write_table(pa.table({"a": [*({"b": line} for line in LINES), None]}), nested)
    source = corpus(tmp_path, Parquet, files=str(nested), column="a.b").source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
    for column, said in [("text", "no column 'text' .*: body, n"), ("n", "not a string but int")]:
        with pytest.raises(ValueError, match=said):
            corpus(tmp_path, Parquet, files=str(path), column=column).open()
    path.write_text("no parquet")
    with pytest.raises(ValueError, match="is not a Parquet file"):
        corpus(tmp_path, Parquet, files=str(path)).open()


@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_face_folder(tmp_path, streaming, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "set").mkdir()
    rows = "".join(json.dumps({"text": line}) + "\n" for line in LINES)
    (tmp_path / "set" / "train.jsonl").write_text(rows)
    knobs = dict(path=str(tmp_path / "set"), streaming=streaming)
    source = corpus(tmp_path, HuggingFace, **knobs).source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
    with pytest.raises(ValueError, match="no 'body' .data.column.; it has: text"):
        corpus(tmp_path, HuggingFace, **knobs, column="body").open()


def test_hugging_face_saved_to_disk(tmp_path):
    datasets = pytest.importorskip("datasets")
    both = {name: datasets.Dataset.from_dict({"text": LINES[:9]}) for name in ("train", "held")}
    datasets.DatasetDict(both).save_to_disk(tmp_path / "set")
    knobs = dict(path=str(tmp_path / "set"), limit=5)
    source = corpus(tmp_path, HuggingFace, **knobs, valid_split="held").source
    assert texts(source, "train") == texts(source, "valid") == LINES[:5]
    with pytest.raises(ValueError, match="no split 'test'; it has: train, held"):
        corpus(tmp_path, HuggingFace, **knobs, valid_split="test").open()


def test_hugging_face_dataset_saved_without_splits(tmp_path):
    datasets = pytest.importorskip("datasets")
    records = [{"a": {"b": line}} for line in LINES] + [{"a": {"b": None}}, {"a": None}]
    datasets.Dataset.from_list(records).save_to_disk(tmp_path / "set")
    knobs = dict(path=str(tmp_path / "set"), column="a.b")
    source = corpus(tmp_path, HuggingFace, **knobs).source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
    assert source.facts["records_blank"] == 2
    with pytest.raises(ValueError, match="one dataset without splits, so write data.valid_split="):
        corpus(tmp_path, HuggingFace, **knobs, valid_split="test").open()


@pytest.mark.parametrize(
    "line,kind,hinted",
    [
        ("A paragraph that is a line of its own. " * 5, "file", True),
        ("A paragraph that is a line of its own. " * 5, "line", False),
        ("A line of prose that is wrapped where its width ends.", "file", False),
        ("A paragraph with a blank line after it. " * 5 + "\n", "file", False),
    ],
)
def test_a_paragraph_a_line_is_hinted_at_once(tmp_path, caplog, line, kind, hinted):
    (tmp_path / "a.txt").write_text("\n".join(f"{n} {line}" for n in range(40)))
    made = corpus(tmp_path, files=str(tmp_path / "a.txt"), document_is=kind)
    assert made.source and made.fingerprint()
    said = [r.getMessage() for r in caplog.records if "data.document_is=line" in r.getMessage()]
    assert len(said) == hinted
