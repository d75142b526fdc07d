"""Control codes: from every kind of data, into the vocabulary, the cache and each piece's start."""

import json

import numpy as np
import pytest

from fxformer.data import control_codes
from fxformer.data.packing import Blocks, Padded, Segments
from fxformer.data.records import JsonLines, Parquet
from fxformer.data.special_tokens import Specials
from fxformer.data.stdlib import StdlibDocs
from fxformer.data.text import Text
from fxformer.data.tokenizer_basic import Byte, Char
from fxformer.data.tokenizer_fast import ByteLevelBPE, Word, WordPiece
from fxformer.data.tokenizer_file import File
from fxformer.data.tokenizer_sentencepiece import SentencePiece

KINDS = ("news", "prose, old", "verse")
RECORDS = [
    {"text": f"Text number {i} is of kind {KINDS[i % 3]}.", "kind": KINDS[i % 3]} for i in range(60)
]
RECIPES = [
    Byte(specials=Specials()),
    Char(specials=Specials(sentinels=2)),
    Word(specials=Specials()),
    WordPiece(specials=Specials(), vocab_size=90),
    ByteLevelBPE(specials=Specials(), vocab_size=300),
    SentencePiece(algorithm="bpe", specials=Specials(), vocab_size=330),
]


def corpus(folder, kind, tokenizer=RECIPES[0], packing=None, **knobs):
    base = dict(packing=packing or Segments(), length=40, batch=2, cache_dir=str(folder / "cache"))
    return kind(tokenizer=tokenizer, **base | knobs)


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, RECORDS)))
    return dict(files=str(tmp_path / "a.jsonl"), code="kind")


def begun(prepared, names):
    """(code, text) of all pieces that begin a document."""
    rows = prepared.packed["train"].rows(np.arange(len(prepared.packed["train"])))
    for row in range(len(rows.tokens)):
        for number in range(1, rows.segments[row].max() + 1):
            ids = rows.tokens[row][rows.segments[row] == number]
            text = prepared.tokenizer.decode(ids)
            assert np.isin(ids, list(names)).sum() == 1
            yield names[int(ids[0])], text


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: type(r).__name__)
def test_each_piece_begins_with_the_code_of_its_document(recipe, tmp_path, lines):
    for _ in "ab":  # the second time from the cache
        made = corpus(tmp_path, JsonLines, recipe, **lines)
        ids = made.source.tokenizer.ids.codes
        assert list(ids) == sorted(KINDS) and made.vocabulary.codes == tuple(ids.values())
        assert made.vocabulary.special[list(ids.values())].all()
        for split in ("train", "valid"):
            documents = made.source.splits[split]
            assert len(documents.codes) == len(documents)
    found = list(begun(made.prepare(100), {i: code for code, i in ids.items()}))
    whole = [(code, text) for code, text in found if "number" in text.lower()]
    assert whole and {code for code, _ in found} == set(KINDS)
    for code, text in whole:
        assert code.split(",")[0] in text.lower()


def test_text_without_codes_keeps_its_vocabulary_and_its_cache(tmp_path, lines):
    plain = corpus(tmp_path, JsonLines, files=lines["files"])
    coded = corpus(tmp_path, JsonLines, **lines)
    assert plain.source.splits["train"].codes is None and not plain.vocabulary.codes
    assert coded.vocabulary.size == plain.vocabulary.size + 3
    assert "codes" not in plain.source.tokenizer._card()["ids"]
    assert plain.source.facts["corpus_hash"] != coded.source.facts["corpus_hash"]


def test_folders_and_names_of_files(tmp_path):
    for folder, name in (("sea", "a"), ("sea", "b"), ("land", "c")):
        (tmp_path / folder / "deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "deep" / f"{name}.txt").write_text(f"{folder} {name} " * 30)
    files = str(tmp_path / "**" / "*.txt")
    by_folder = corpus(tmp_path, Text, files=files, code="folder")
    # every hash decides which one is held out; all three are known however it falls
    known = set(by_folder.source.tokenizer.ids.codes)
    assert known <= {"land", "sea"}
    texts = {str(text): control_codes.code_of(text) for text in by_folder.stream()}
    assert all(text.startswith(code) for text, code in texts.items())
    by_name = corpus(tmp_path, Text, files=files, code="file")
    assert {control_codes.code_of(text) for text in by_name.stream()} == {"a", "b", "c"}
    (tmp_path / "top.txt").write_text("on top")
    with pytest.raises(ValueError, match=r"data\.code=file"):
        list(corpus(tmp_path, Text, files=str(tmp_path / "*.txt"), code="folder").stream())


def test_parquet_columns(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = {name: [record[name] for record in RECORDS] for name in ("kind", "text")}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    made = corpus(tmp_path, Parquet, files=str(tmp_path / "a.parquet"), code="kind")
    assert list(made.source.tokenizer.ids.codes) == sorted(KINDS)
    wrong = corpus(tmp_path, Parquet, files=str(tmp_path / "a.parquet"), code="kin")
    with pytest.raises(ValueError, match=r"no column 'kin' \(data\.code\)"):
        list(wrong.stream())


def test_columns_of_a_dataset(tmp_path):
    datasets = pytest.importorskip("datasets")
    from fxformer.data.huggingface import HuggingFace

    table = {name: [record[name] for record in RECORDS] for name in ("kind", "text")}
    made = datasets.Dataset.from_dict(table)
    datasets.DatasetDict(train=made).save_to_disk(str(tmp_path / "set"))
    made = corpus(tmp_path, HuggingFace, path=str(tmp_path / "set"), code="kind")
    assert list(made.source.tokenizer.ids.codes) == sorted(KINDS)


def test_the_standard_library_has_a_dozen_kinds(tmp_path):
    made = corpus(tmp_path, StdlibDocs, code="module")
    kinds = {control_codes.code_of(text) for text in made.documents("train")}
    assert {"module", "topic", "asyncio"} <= kinds and len(kinds) <= 20
    assert {control_codes.code_of(text) for text in made.documents("valid")} <= kinds


def test_an_unknown_code_names_the_nearest(tmp_path, lines):
    named = Byte(specials=Specials(codes=("news", "vers", "prose, old")))
    with pytest.raises(ValueError, match="'verse' is none of the tokenizer's; did you mean 'vers'"):
        corpus(tmp_path, JsonLines, named, **lines).source  # noqa: B018
    with pytest.raises(ValueError, match=r"line 1 has no control code under 'kid' \(data\.code\)"):
        corpus(tmp_path, JsonLines, **lines | {"code": "kid"}).source  # noqa: B018


def test_a_tokenizer_from_a_file_gets_them_too(tmp_path, lines):
    corpus(tmp_path, JsonLines, RECIPES[4], **lines).source.tokenizer.save(tmp_path / "t")
    file = tmp_path / "t" / "tokenizer.json"
    (tmp_path / "t" / "tokenizer_card.json").unlink()
    made = corpus(tmp_path, JsonLines, File(path=str(file)), **lines)
    ids = made.source.tokenizer.ids
    assert list(ids.codes) == sorted(KINDS) and len(set(ids.all())) == 8


def test_what_has_no_place_for_codes_says_so(tmp_path, lines):
    with pytest.raises(ValueError, match="take segments or padded"):
        corpus(tmp_path, JsonLines, packing=Blocks(), **lines).prepare(40)
    assert corpus(tmp_path, JsonLines, packing=Padded(), **lines).prepare(40)
    with pytest.raises(ValueError, match="more than 1000 different"):
        control_codes.check_number({str(i) for i in range(1001)})
