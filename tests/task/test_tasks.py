"""Tasks: every row is judged once, however it is packed; heads read what was labelled."""

import dataclasses

import jax
import numpy as np
import pytest

from fxformer.config.build import build
from fxformer.data.labelled.rows import Row
from fxformer.errors import UserError
from fxformer.objective.coverage import Coverage
from fxformer.task.classification import MultiLabel
from fxformer.task.label_matching import in_order_of
from fxformer.train.split_batches import SplitBatches
from tests.composing import composed
from tests.first_state import first_state
from tests.task.rows import COLOURS, PACKED, TASKS, rows_of, setup_of, write


def judged(setup):
    """(averages and metrics of the validation rows, outputs by feature) with the first weights."""
    state = first_state(setup)
    validation, evaluate = SplitBatches(setup), jax.jit(setup.evaluate)
    sums: dict = {}
    for batch in validation:
        new, outputs = evaluate(state.params, batch)
        validation.observe(batch, outputs)
        for name, (total, weight) in new.items():
            before = sums.get(name, (0.0, 0.0))
            sums[name] = (before[0] + float(total), before[1] + float(weight))
    found = {name: total / weight for name, (total, weight) in sums.items()}
    packed = setup.data.packed["valid"]
    by_feature = setup.objective.outputs_by_feature(validation.outputs)
    cut = {
        n: values[: len(packed.features[n].tokens)] if np.ndim(values) == 2 else values
        for n, values in by_feature.items()
    }
    return found | validation.results().values, cut


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "others",
    [
        pytest.param([("data.batch=3", *PACKED)], id="packed and another batch size"),
        pytest.param([("data.batch=1",), PACKED], id="one by one", marks=pytest.mark.slow),
    ],
)
def test_rows_are_judged_the_same_alone_padded_and_packed(tmp_path, task, others):
    """One input a row, several in a row, other batch sizes: the same outputs, losses, metrics."""
    first = setup_of(tmp_path, task)
    whole, outputs = judged(first)
    seen = Coverage(first.objective)
    for batch in first.data.valid(4):
        seen(batch)
    assert seen.pieces and not seen.missing and not seen.lost
    for overrides in others:
        again, other = judged(setup_of(tmp_path, task, *overrides))
        assert set(other) == set(outputs) and whole.keys() == again.keys()
        for n, values in outputs.items():
            np.testing.assert_allclose(values, other[n], atol=2e-5)
        for name, value in whole.items():
            assert again[name] == pytest.approx(value, abs=1e-4, nan_ok=True), name


@pytest.mark.parametrize("model", ["gpt2", "t5", "bart"])
@pytest.mark.sample(3)
def test_other_architectures_classify(tmp_path, model):
    one, outputs = judged(setup_of(tmp_path, "classification", model=model))
    other, packed = judged(setup_of(tmp_path, "classification", *PACKED, model=model))
    assert one["loss"] == pytest.approx(other["loss"], abs=1e-5) and len(outputs) == 20
    for n, values in outputs.items():
        np.testing.assert_allclose(values, packed[n], atol=2e-5)


def test_every_label_of_an_epoch_is_in_its_batches(tmp_path):
    setup = setup_of(tmp_path, "token_classification", "data.length=8", count=60)
    labels = [label for row in rows_of("token_classification", 60) for label in row["labels"]]
    batches = setup.data.train(1, seed=3)
    made = [setup.objective.corrupt(batches[n]) for n in range(batches.steps_per_epoch)]
    names = setup.objective.task.labels
    assert names == ("B-COL", "O")
    counts = [0, 0]
    for batch in made:
        real = np.asarray(batch.labels.weights) > 0
        for n in (0, 1):
            counts[n] += int((np.asarray(batch.labels.classes)[real] == n).sum())
    assert counts == [labels.count("B-COL"), labels.count("O")]  # though rows are cut in windows


@pytest.mark.parametrize(
    ("scheme", "labels"),
    [
        ("BIO", "O B-A I-A B-A O B-B"),
        ("IO", "O I-A I-A I-A O I-B"),
        ("BIOES", "O B-A E-A S-A O B-B"),
    ],
)
def test_entities_are_labelled_in_the_scheme_of_the_data(scheme, labels):
    """The second A begins where the first ends; the B begins inside a word of the A before it."""
    text = "the big apple pie of x-ray"
    spans = [(4, 13, "A"), (14, 17, "A"), (21, 26, "B")]
    row = Row({"text": text, "entities": [
        {"start": start, "end": end, "label": kind} for start, end, kind in spans
    ]}, "a.jsonl, line 1", 0)  # fmt: skip
    words = ["model=bert", "task=token_classification", f"data.label_scheme={scheme}"]
    corpus = build(composed(words).data)(tokenizer=None)
    read = corpus.read_row(row)
    assert read.value("labels")[:6] == labels.split()
    mixed = dataclasses.replace(row, values={"text": "ab cd", "entities": [
        {"start": 0, "end": 1, "label": "A"}, {"start": 1, "end": 5, "label": "B"}
    ]})  # fmt: skip
    first, second = corpus.read_row(mixed).value("labels")
    begins = {"BIO": "B", "IO": "I", "BIOES": "S"}[scheme]
    assert (first, second) == (f"{begins}-A", f"{begins}-B")  # B begins anew, malformed nowhere


def test_tokens_that_are_cut_are_counted_as_dropped(tmp_path):
    whole = setup_of(tmp_path, "classification").data.facts["packing"]
    cut = setup_of(tmp_path, "classification", "data.length=6").data.facts["packing"]
    for split in ("train", "valid"):
        assert whole[split]["tokens_dropped"] == 0 < cut[split]["tokens_dropped"]
        assert cut[split]["tokens_in"] == whole[split]["tokens_in"]
        assert cut[split]["tokens_used"] + cut[split]["tokens_dropped"] == cut[split]["tokens_in"]


def test_tokens_of_choices_that_are_left_out_are_counted(tmp_path):
    rows = rows_of("multiple_choice", 6)
    rows[0]["choices"][1] = "\u200b"  # a character without a token
    valid = write(tmp_path / "v.jsonl", rows)
    setup = setup_of(tmp_path, "multiple_choice", f"data.valid_files={valid}")
    facts, packing = setup.data.facts["valid"], setup.data.facts["packing"]["valid"]
    assert facts["skipped"] == {"a text without tokens": 1} and packing["tokens_dropped"] > 0


def test_answers_are_the_tokens_of_their_characters(tmp_path):
    setup = setup_of(tmp_path, "question_answering", "data.length=12")
    tokenizer, seen = setup.data.tokenizer, 0
    for one in setup.data.packed["train"].features:
        label = one.label
        if label.start:
            words = tokenizer.decode(one.tokens[label.start : label.end + 1])
            assert words in COLOURS
            seen += 1
    rows = rows_of("question_answering")
    assert seen >= sum(bool(row["answers"]) for row in rows)


def test_samples_of_questions_show_question_context_and_first_true_answer(tmp_path):
    setup = setup_of(tmp_path, "question_answering")
    task, packed = setup.objective.task, setup.data.packed["valid"]
    outputs = {n: np.zeros((len(one.tokens), 2)) for n, one in enumerate(packed.features)}
    shown = task.samples(outputs, packed.features, packed.read, 20)
    assert len(shown) == len({one.example for one in packed.features if one.example < 20})
    for (read, _, truth), row in zip(shown, packed.read, strict=False):
        assert read == f"which colour | {row.get('context')}"
        answers = row.get("answers")
        assert truth == (answers[0]["text"] if answers else "no answer")


def test_choices_may_come_in_any_order(tmp_path):
    rows = rows_of("multiple_choice", 8)
    turned = [
        row | {"choices": row["choices"][::-1], "label": len(row["choices"]) - 1 - row["label"]}
        for row in rows
    ]
    found = []
    for name, some in (("a", rows), ("b", turned)):
        place = tmp_path / name
        place.mkdir()
        valid = write(place / "v.jsonl", some)
        (place / "x").mkdir()
        setup = setup_of(place / "x", "multiple_choice", f"data.valid_files={valid}",
                         f"data.cache_dir={tmp_path / 'cache'}")  # fmt: skip
        found.append(judged(setup))
    (one, outputs), (other, reversed_) = found
    assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)
    for n, values in outputs.items():
        np.testing.assert_allclose(values, reversed_[n][::-1], atol=1e-5)


def test_class_names_come_from_the_training_rows_and_are_stored(tmp_path):
    setup = setup_of(tmp_path, "classification", "task.class_weights=balanced")
    assert list(setup.cfg.task.labels) == ["few", "many"]
    assert setup.cfg.model.task_head.classification.classes == 2
    labels = [row["label"] for row in rows_of("classification")]
    wanted = [len(labels) / (2 * labels.count(name)) for name in ("few", "many")]
    assert list(setup.cfg.task.class_weights) == pytest.approx(wanted)
    words = setup_of(tmp_path, "token_classification", "task.class_weights=balanced")
    labels = [label for row in rows_of("token_classification") for label in row["labels"]]
    wanted = [len(labels) / (2 * labels.count(name)) for name in ("B-COL", "O")]
    assert list(words.cfg.task.class_weights) == pytest.approx(wanted)


def test_class_names_take_the_order_of_the_head_that_is_loaded(tmp_path, caplog):
    setup = setup_of(tmp_path, "classification", "warm_start.labels=[many,few]")
    assert list(setup.cfg.task.labels) == ["many", "few"] and not caplog.records
    given = setup_of(tmp_path, "classification", "warm_start.labels=[many,few]",
                     "task.labels=[few,many]")  # fmt: skip
    assert list(given.cfg.task.labels) == ["few", "many"]
    assert in_order_of(("few", "many"), ["neg", "pos"]) == ("few", "many")
    assert "has the classes neg, pos" in caplog.text.replace("'", "")


@pytest.mark.parametrize(
    ("task", "row", "said"),
    [
        ("classification", {"text": "red", "label": "other"}, "'other' is not one of the 2"),
        ("classification", {"text": "red"}, "has no 'label'"),
        ("multi_label", {"text": "red", "label": None}, "label is null"),
        ("multi_label", {"text": "red", "label": ["red", None]}, "in its list is null"),
        ("regression", {"text": "red", "label": "big"}, "is not a"),
        ("regression", {"text": "red", "label": 10**400}, "is not a finite"),
        ("regression", {"text": "red", "label": 1e300}, "is not a finite"),
        ("multiple_choice", {"text": "red", "choices": ["a", "b"], "label": "9" * 5000}, "neither"),
        ("multiple_choice", {"text": "red", "choices": ["a", "b"], "label": 2}, "neither"),
        ("token_classification", {"words": ["a", "b"], "labels": ["O"]}, "2 words and 1 labels"),
        ("question_answering", {"id": "1", "question": "q", "context": "red stone",
                                "answers": [{"text": "blue", "start": 0}]}, "'blue' is not in"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_with_their_place(tmp_path, task, row, said):
    bad = write(tmp_path / "bad.jsonl", [*rows_of(task, 4), row])
    with pytest.raises(UserError, match=said) as caught:
        setup_of(tmp_path, task, f"data.valid_files={bad}")
    assert "bad.jsonl, line 5" in str(caught.value)


@pytest.mark.parametrize("label", ["3", 3, ["3"]])
def test_one_label_of_several_needs_no_list(label):
    task = MultiLabel(labels=("30", "3"))
    row = Row({"text": "red", "label": label}, "a.csv, line 2", 0)
    assert task.label_of(row).tolist() == [0, 1]


def test_rows_without_what_a_task_reads_are_left_out_and_counted(tmp_path):
    bad = [{"text": "red"}, {"text": "red", "label": None}, {"label": "few"}]
    valid = write(tmp_path / "bad.jsonl", [*rows_of("classification", 4), *bad])
    setup = setup_of(tmp_path, "classification", f"data.valid_files={valid}", "data.bad_rows=skip")
    assert setup.data.facts["left_out"] == {"valid": {"no label": 2, "no text": 1}}
    assert setup.data.facts["rows"]["valid"] == 4
