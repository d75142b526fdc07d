"""A corpus of text: split once, tokenised once, the same for everybody."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fxformer.data import store
from fxformer.data.huggingface import HuggingFace
from fxformer.data.jsonl import JsonLines
from fxformer.data.pack import Segments
from fxformer.data.pack_blocks import Blocks
from fxformer.data.parquet import Parquet
from fxformer.data.specials import Specials
from fxformer.data.text import Text
from fxformer.data.tokenizer_byte import Byte
from fxformer.data.tokenizer_char import Char
from fxformer.data.tokenizer_symbols import NoTokenizer

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
    assert one.source.facts["held_out"] == "tail"


def test_a_split_that_is_given_is_taken(tmp_path):
    (tmp_path / "a.txt").write_text("train text")
    (tmp_path / "v.txt").write_text("valid text")
    given = dict(files=str(tmp_path / "a.txt"), valid_files=str(tmp_path / "v.txt"))
    source = corpus(tmp_path, **given).source
    assert (texts(source, "train"), texts(source, "valid")) == (["train text"], ["valid text"])
    with pytest.raises(ValueError, match="in both data.files and data.valid_files"):
        corpus(tmp_path, files=str(tmp_path / "*.txt"), valid_files=given["valid_files"]).open()


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
    monkeypatch.setattr(store, "write", lambda *_: pytest.fail("tokenised again"))
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
    (ids,) = tmp_path.glob("cache/corpora/*/train.ids")
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
    assert len(list(tmp_path.glob("cache/*/*"))) == 2  # one tokenizer, one corpus
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
        ('{"body": 3}', "line 1: 'body' is no text but int"),
        ('{"body": "\\ud83d"}', "line 1: half of a surrogate pair"),
        ("[]", "line 1 has no 'body'.* list"),
    ]:
        path.write_text(content)
        with pytest.raises(ValueError, match=said):
            corpus(tmp_path, JsonLines, files=str(path), key="body").open()
    path.write_text('{"body": "a\\ud83db"}\n{"body": "c"}')
    mended = corpus(tmp_path, JsonLines, files=str(path), key="body", encoding_errors="skip").source
    assert sorted(texts(mended, "train") + texts(mended, "valid")) == ["ab", "c"]


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": [*LINES, None, " "], "n": [0] * 202}), path)
    source = corpus(tmp_path, Parquet, files=str(path), column="body").source
    assert sorted(texts(source, "train") + texts(source, "valid")) == sorted(LINES)
    for column, said in [("text", "no column 'text' .*: body, n"), ("n", "no text but int")]:
        with pytest.raises(ValueError, match=said):
            corpus(tmp_path, Parquet, files=str(path), column=column).open()
    path.write_text("no parquet")
    with pytest.raises(ValueError, match="is no Parquet file"):
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
    with pytest.raises(ValueError, match="no column 'body' .data.column.: text"):
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
