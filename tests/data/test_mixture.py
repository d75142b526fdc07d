"""Mixtures of corpora: proportions are exact, every row has its turn, parts are told apart."""

import functools

import numpy as np
import pytest

from fxformer.data.documents import Documents
from fxformer.data.loader import InOrder, Shuffled
from fxformer.data.mixture import CorpusMixture
from fxformer.data.mixture_rows import JoinedRows, MixedRows
from fxformer.data.packing import Blocks, Padded, Segments, Template
from fxformer.data.records import JsonLines
from fxformer.data.special_tokens import Specials
from fxformer.data.synthetic import Markov
from fxformer.data.text import Text
from fxformer.data.tokenizer_basic import Byte, Char, NoTokenizer


def rows_of(first: int, rows: int):
    """Rows of one token: first, first + 1, …"""
    tokens = np.arange(first, first + rows, dtype=np.int32)
    template = Template(0, np.empty(0, int), np.empty(0, int))
    return Padded()(Documents(tokens, np.arange(rows + 1)), 1, template)


MARKOV = functools.partial(Markov, symbols=4, examples=9, valid_examples=2, example_length=8)
PARTS = {"a": rows_of(100, 7), "b": rows_of(200, 30), "c": rows_of(300, 3)}


def test_each_part_has_its_share_and_each_row_its_turn():
    mixed = MixedRows(PARTS, {"a": 0.5, "b": 0.3, "c": 0.2})
    batches = Shuffled(mixed, 4, 0)
    assert batches.steps_per_epoch == 10
    for epochs in (1, 3, 7):
        seen = np.concatenate([batches[n].tokens.ravel() for n in range(10 * epochs)])
        for first, (name, share) in enumerate(mixed.shares.items(), 1):
            here = seen[seen // 100 == first] - 100 * first
            assert abs(len(here) - share * 40 * epochs) <= 1
            counts = np.bincount(here, minlength=len(PARTS[name]))
            assert counts.max() - counts.min() <= 1
    assert mixed.repeats(80) == pytest.approx({"a": 40 / 7, "b": 0.8, "c": 16 / 3})


def test_a_batch_is_a_function_of_seed_and_number():
    mixed = MixedRows(PARTS, {"a": 0.5, "b": 0.3, "c": 0.2})
    one, other = Shuffled(mixed, 4, 3), Shuffled(mixed, 4, 3)
    for n in (25, 3, 14):
        assert np.array_equal(one[n].tokens, other[n].tokens)
    assert not np.array_equal(one[0].tokens, Shuffled(mixed, 4, 4)[0].tokens)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_make_the_rows_of_one(processes):
    """Each makes its own rows alone, of training batches and of those of an evaluation."""
    mixed, joined = MixedRows(PARTS, {"a": 0.5, "b": 0.3, "c": 0.2}), JoinedRows(PARTS, 8)
    shares = np.split(np.arange(8), processes)
    shares[0], shares[1] = np.array([0, *shares[1][1:]]), np.array([shares[1][0], *shares[0][1:]])
    shares = [np.sort(share) for share in shares]
    one = [*(Shuffled(mixed, 8, 3)[n] for n in range(12)), *InOrder(joined, 8)]
    for own in shares:
        part = [*(Shuffled(mixed, 8, 3, own)[n] for n in range(12)), *InOrder(joined, 8, own)]
        for whole, rows in zip(one, part, strict=True):
            assert rows.epoch == whole.epoch and rows.seed == whole.seed
            for name in ("tokens", "segments", "examples"):
                np.testing.assert_array_equal(getattr(rows, name), getattr(whole, name)[own])


def test_repeats_have_examples_of_their_own():
    mixed = MixedRows(PARTS, {"a": 0.5, "b": 0.3, "c": 0.2})
    examples = mixed.rows(np.arange(40)).examples.ravel()
    assert len(set(examples)) == 40
    later = mixed.rows(np.arange(40), epoch=1).examples.ravel()
    assert not set(examples) & set(later)
    assert (mixed.rows(np.array([-1, 3])).segments.ravel() == [0, 1]).all()


def test_no_batch_of_held_out_rows_has_two_parts():
    joined = JoinedRows(PARTS, 4)
    batches = InOrder(joined, 4)
    assert len(joined) == 8 + 32 + 4 and len(batches) == 11
    seen = []
    for n in range(len(batches)):
        tokens = batches[n].tokens[batches[n].segments > 0]
        assert {"abc"[one // 100 - 1] for one in tokens} == {joined.part_of(4 * n)}
        seen += tokens.tolist()
    expected = np.concatenate([one.documents.tokens for one in PARTS.values()])
    assert sorted(seen) == sorted(expected)
    assert joined.facts()["tokens_in"] == 40 and joined.facts()["parts"]["c"]["rows"] == 3


def write(path, words, lines):
    rng = np.random.default_rng(0)
    path.write_text("\n".join(f"{n} {' '.join(rng.choice(words, 8))}" for n in range(lines)))
    return str(path)


@pytest.fixture
def mixture(tmp_path):
    files = {
        "one": write(tmp_path / "one.txt", ["amber", "brook", "cedar"], 300),
        "two": write(tmp_path / "two.txt", ["quartz", "zinc"], 60),
    }

    def made(packing=None, tokenizer=None, **knobs):
        parts = {n: functools.partial(Text, files=f, document_is="line") for n, f in files.items()}
        knobs = dict(parts=parts, length=32, batch=4, cache_dir=str(tmp_path / "cache")) | knobs
        tokenizer = tokenizer or Char(specials=Specials())
        return CorpusMixture(packing=packing or Segments(), tokenizer=tokenizer, **knobs)

    return made


@pytest.mark.parametrize("packing", [Segments(), Padded(), Blocks()])
def test_corpora_are_mixed_by_tokens_with_one_tokenizer(mixture, packing):
    made = mixture(packing, weights={"one": 1, "two": 3})
    assert set("amberquz") <= set(made.source.tokenizer.characters)
    ready = made.prepare(34)
    train = ready.train(4, 0)
    pieces = [one["pieces"] for one in ready.facts["packing"]["train"]["parts"].values()]
    tokens = [0, 0]
    for n in range(train.steps_per_epoch):
        rows = train[n]
        second = rows.examples % sum(pieces) >= pieces[0]
        for part in (False, True):
            tokens[part] += int(((rows.tokens >= 5) & (second == part)).sum())
    assert tokens[1] / sum(tokens) == pytest.approx(0.75, abs=0.01)
    facts = ready.facts
    assert facts["valid"]["bytes"] == sum(one["valid"]["bytes"] for one in facts["parts"].values())
    assert facts["valid"]["round_trip"]["documents"] == facts["valid"]["documents"]
    assert facts["unigram_nats"] > 1 and facts["bytes_per_token"] == 1
    assert list(ready.packed["valid"].parts) == ["one", "two"]
    documents = set(made.documents("train")) | set(made.documents("valid"))
    assert len(documents) == 360


def test_without_weights_all_text_is_read_equally_often(mixture):
    train = mixture().prepare(34).packed["train"]
    assert train.repeats(len(train)) == pytest.approx({"one": 1, "two": 1})
    by_example = mixture(weights={"one": 1, "two": 1}, weigh_by="examples").prepare(34)
    shares, parts = by_example.packed["train"].shares, by_example.facts["packing"]["train"]["parts"]
    examples = {name: shares[name] * f["pieces"] / f["rows"] for name, f in parts.items()}
    assert examples["one"] == pytest.approx(examples["two"])


def test_repeats_are_told_and_warned_of(mixture):
    made = mixture(weights={"one": 1, "two": 9}, max_repeats=2)
    packed = made.prepare(34).packed["train"]
    rows = 3 * len(packed.parts["two"])
    assert "two: 90" not in made.repeat_lines(packed, rows)["one"]
    assert made.repeat_lines(packed, rows)["two"].startswith(
        "90.0% of the tokens, its text read 2."
    )
    (said,) = made.warnings(packed, rows)
    assert said.startswith("data.parts.two is read 2.") and "data.max_repeats=2" in said


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"weights": {"one": 1, "tow": 1}}, r"data.weights.tow: there is no such part.*two"),
        ({"weights": {"one": 1}}, "two has no weight; leave a part out with ~data@data.parts.two"),
        ({"weights": {"one": 1, "two": 0}}, "data.weights.two=0: expected a number above 0"),
        ({"parts": {}}, "data.parts is empty"),
        ({"code": "file"}, "of a mixture each part has its own; write data.parts.one.code=file"),
        ({"parts": {"x": MARKOV}}, "data.parts.x: Markov is no corpus of text"),
        (
            {"parts": {"x": functools.partial(Text, files="/nowhere/*")}},
            "data.files: no file matches",
        ),
        ({"tokenizer": NoTokenizer()}, "tokenizer"),
    ],
)
def test_what_cannot_be_mixed_is_said(mixture, knobs, said):
    with pytest.raises(ValueError, match=said):
        mixture(**knobs).prepare(34)


def test_each_part_has_its_control_codes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{name} {n}" for n in range(30)))

    def made(**codes):
        files = {name: str(tmp_path / f"{name}.txt") for name in ("one", "two")}
        known = {"document_is": "line"}
        parts = {
            n: functools.partial(Text, files=f, code=codes.get(n), **known)
            for n, f in files.items()
        }
        knobs = {"length": 16, "batch": 4, "cache_dir": str(tmp_path / "cache")}
        tokenizer = Char(specials=Specials())
        return CorpusMixture(parts=parts, packing=Padded(), tokenizer=tokenizer, **knobs)

    mixture = made(one="file", two="file")
    known = mixture.source.tokenizer.ids.codes
    assert list(known) == ["one", "two"]
    rows = mixture.prepare(18).packed["valid"].rows(np.arange(8))
    text = [mixture.source.tokenizer.decode(row) for row in rows.tokens]
    assert {known[one.split()[0]] for one in text if one} == set(known.values())
    for row, one in zip(rows.tokens, text, strict=True):
        assert not one or row[0] == known[one.split()[0]]
    with pytest.raises(ValueError, match=r"data.parts.two.code is null.*write data.parts.two.code"):
        made(one="file").prepare(18)


def test_pairs_and_single_texts_do_not_mix(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(f'{{"text": "text {n}", "de": "Text {n}"}}' for n in range(50)))
    single = functools.partial(JsonLines, files=str(path))
    paired = functools.partial(JsonLines, files=str(path), source_field="de")
    made = CorpusMixture(
        parts={"single": single, "paired": paired},
        packing=Segments(),
        tokenizer=Byte(specials=Specials()),
        length=32,
        batch=4,
        cache_dir=str(tmp_path / "cache"),
    )
    with pytest.raises(ValueError, match="data.parts.paired: data.source_field=de: Segments packs"):
        made.prepare(34)
