"""Generated labelled rows: noise, best values, splits that share no text, the same rows again."""

import math
from collections import Counter

import pytest

from fxformer.data import stdlib
from fxformer.data.labelled import stdlib_rows as made_of_stdlib
from fxformer.data.labelled.stdlib_rows import stdlib_rows
from fxformer.data.labelled.template_rows import TOPICS, noise_entropy, template_rows
from fxformer.errors import UserError

COUNTS = {"train": 400, "valid": 100}


def topic_of(text: str) -> str:
    words = set(text.split())
    return next(name for name, things in TOPICS.items() if words & set(things.split()))


def test_the_noise_of_labels_is_the_one_that_was_asked_for():
    rows, best = template_rows("classification", 0.2, {"train": 3000, "valid": 100}, 0)
    wrong = [row["label"] for row in rows["train"] if row["label"] != topic_of(row["text"])]
    assert len(wrong) / 3000 == pytest.approx(0.2, abs=0.03)
    assert set(wrong) == set(TOPICS)
    # H(0.2) + 0.2 log 3, by hand
    least = pytest.approx(0.5004 + 0.2197, abs=1e-3)
    assert best == {"accuracy": 0.8, "loss": least, "nll": least}
    clean = template_rows("classification", 0.0, COUNTS, 0)[0]["valid"]
    assert all(row["label"] == topic_of(row["text"]) for row in clean)


def test_the_entropy_of_uniform_labels_is_that_of_chance():
    assert noise_entropy(0.75, 4) == pytest.approx(math.log(4))
    with pytest.raises(UserError, match="at most 0.75"):
        template_rows("classification", 0.8, COUNTS, 0)


def test_the_best_loss_of_entities_counts_their_words_only():
    rows, best = template_rows("entities", 0.1, COUNTS, 1)
    labels = [label for row in rows["valid"] for label in row["labels"]]
    share = sum(label != "O" for label in labels) / len(labels)
    assert best["loss"] == pytest.approx(share * noise_entropy(0.1, 4))
    assert all(len(row["words"]) == len(row["labels"]) for row in rows["train"])
    for before, label in zip(["O", *labels], labels, strict=False):
        assert not label.startswith("I-") or before[2:] == label[2:]  # words of one entity agree


def test_answers_are_in_their_context():
    rows, best = template_rows("answers", 0.1, COUNTS, 0)
    for row in rows["train"]:
        (answer,) = row["answers"]
        assert row["context"][answer["start"] :].startswith(answer["text"])
    assert best["squad_f1"] == best["squad_exact_match"] == pytest.approx(90)


@pytest.mark.parametrize("kind", ["classification", "entities", "answers"])
def test_rows_are_a_function_of_the_seed_and_splits_share_no_input(kind):
    rows, _ = template_rows(kind, 0.1, COUNTS, 3)
    assert rows == template_rows(kind, 0.1, COUNTS, 3)[0] != template_rows(kind, 0.1, COUNTS, 4)[0]
    inputs = [
        str({key: value for key, value in row.items() if key not in ("label", "labels", "answers")})
        for some in rows.values()
        for row in some
    ]
    assert len(set(inputs)) == len(inputs) == 500


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A standard library of four modules with twelve documented functions each."""
    files = {}
    for name in ("alpha", "beta", "json", "_hidden"):
        functions = [
            f'def {name}_{n}(a):\n    """Return thing number {n} of module {name}.\n\n'
            f"    This is a long description of the function with number {n} in {name}.\n"
            f'    """\n    total = a + {n}\n    return total * {n}\n'
            for n in range(12)
        ]
        files[name] = tmp_path / f"{name}.py"
        files[name].write_text("\n".join(functions))
    monkeypatch.setattr(stdlib, "modules", lambda: files)
    return files


def test_modules_of_docstrings_share_no_text_between_splits(library):
    rows = stdlib_rows("module", {"train": 1000, "valid": 1000}, 0)
    assert Counter(row["label"] for row in rows["train"] + rows["valid"]) == {
        "alpha": 12, "beta": 12, "json": 12,
    }  # fmt: skip
    assert not {row["text"] for row in rows["train"]} & {row["text"] for row in rows["valid"]}
    assert {row["label"] for row in rows["valid"]} == {"alpha", "beta", "json"}
    assert rows == stdlib_rows("module", {"train": 1000, "valid": 1000}, 0)


def test_summaries_and_matches_are_split_by_module(library):
    rows = stdlib_rows("summary", COUNTS, 0)
    assert {row["target"].split()[-1] for row in rows["valid"]} == {"json."}
    assert all("long description" in row["source"] for row in rows["train"])
    assert not any("Return thing" in row["source"] for row in rows["train"])
    rows = stdlib_rows("match", COUNTS, 0)
    for split, some in rows.items():
        assert {("json" in row["text"]) for row in some} == {split == "valid"}
        for row in some:
            number = row["text"].partition("(")[0].rpartition("_")[2]
            same = f"number {number} of" in row["pair"]
            same &= row["pair"].split()[-1].strip(".") in row["text"]
            assert (row["label"] == "match") == same
            assert '"""' not in row["text"]  # the source says nothing of its docstring
    counts = Counter(row["label"] for row in rows["train"])
    assert abs(counts["match"] - counts["other"]) <= 1


def test_a_python_without_sources_is_refused(monkeypatch):
    monkeypatch.setattr(made_of_stdlib, "documented", lambda: iter(()))
    with pytest.raises(UserError, match="without its sources"):
        stdlib_rows("module", COUNTS, 0)
