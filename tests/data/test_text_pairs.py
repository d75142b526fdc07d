"""Pairs of texts from records: both sides as ids, what is left out, and what is refused."""

import csv
import json

import numpy as np
import pytest
from hydra.utils import instantiate

from fxformer.objective.supervised_seq2seq import sources
from tests.data.test_yamls import composed

PAIRS = [(f"source {n} says {n % 7}", f"target {n}") for n in range(40)]


def corpus(tmp_path, *words, data="jsonl", tokenizer="byte", pairs=PAIRS):
    if data == "jsonl":
        lines = [json.dumps({"a": {"q": source}, "text": target}) for source, target in pairs]
        (tmp_path / "pairs").write_text("\n".join(lines))
        field = "a.q"
    else:
        with (tmp_path / "pairs").open("w", newline="") as file:
            csv.writer(file).writerows([("q", "text"), *pairs])
        field = "q"
    given = [f"+data={data}", f"+tokenizer={tokenizer}", f"data.files={tmp_path}/pairs",
             f"data.source_field={field}", "data/packing=paired", "data.length=32",
             f"data.cache_dir={tmp_path}/cache", *words]  # fmt: skip
    cfg = composed(*given)
    return instantiate(cfg.data)(tokenizer=instantiate(cfg.tokenizer))


def sides(made, split):
    """(source, target) texts of a split, decoded from its ids."""
    documents, tokenizer = made.source.splits[split], made.source.tokenizer
    return [
        tuple(
            tokenizer.decode(ids[bounds[n] : bounds[n + 1]])
            for ids, bounds in (
                (documents.source, documents.source_bounds),
                (documents.tokens, documents.bounds),
            )
        )
        for n in range(len(documents))
    ]


@pytest.mark.parametrize("data", ["jsonl", "csv"])
def test_every_pair_comes_back_whole(tmp_path, data):
    blank = [("", "a target alone"), ("a source alone", " "), *PAIRS]
    made = corpus(tmp_path, data=data, pairs=blank)
    assert sorted(sides(made, "train") + sides(made, "valid")) == sorted(PAIRS)
    facts = made.source.facts
    assert facts["records_blank"] > 0 and facts["train"]["source"]["documents"] > 30
    rows = made.prepare(32).packed["valid"].rows(np.arange(1))
    assert made.source.tokenizer.decode(rows.source[0]) == sides(made, "valid")[0][0]
    assert sources(rows, "seq2seq")[0] is not None


def test_one_tokenizer_is_trained_on_both_sides(tmp_path):
    pairs = [("ÄÖ" * 5 + str(n), "ßü" * 5 + str(n)) for n in range(20)]
    made = corpus(tmp_path, tokenizer="char", pairs=pairs)
    assert made.source.tokenizer.decode(made.source.tokenizer.encode("ÄÖßü")) == "ÄÖßü"


def test_another_source_is_another_corpus_and_a_damaged_one_is_made_anew(tmp_path):
    first = corpus(tmp_path).source
    again = corpus(tmp_path, pairs=[(source + "!", target) for source, target in PAIRS]).source
    assert first.facts["corpus_hash"] != again.facts["corpus_hash"]
    for path in (tmp_path / "cache").rglob("train.source.ids"):
        path.write_bytes(b"")
    assert sides(corpus(tmp_path), "valid")[0][0].startswith("source")


def test_packed_pairs_share_rows_in_step(tmp_path):
    made = corpus(tmp_path, "data/packing=paired_segments", "data.length=64")
    rows = made.prepare(64).packed["train"].rows(np.arange(2))
    assert (rows.segments.max(1) == rows.source_segments.max(1)).all() and rows.segments.max() > 1


REFUSED = {
    "a packing of single texts": (("data/packing=segments",), "write data/packing=paired"),
    "a cut through a pair": (("data.split_by=tail",), "a pair cannot be cut in two"),
    "control codes": (("data.code=text",), "pairs of texts have no control codes"),
    "no such field": (("data.source_field=nothing",), "no 'nothing' .data.source_field."),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_would_lose_a_source_is_refused(tmp_path, why):
    words, said = REFUSED[why]
    with pytest.raises(ValueError, match=said):
        assert corpus(tmp_path, *words).source
