"""fxformer compare: the same passages for all runs, equal cost, scores as documented."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from shell import called

from fxformer.data.packing import Segments
from fxformer.data.special_tokens import Specials
from fxformer.data.text import Text
from fxformer.data.tokenizer_basic import Byte
from fxformer.data.tokenizer_fast import Word
from fxformer.errors import UserError
from fxformer.evaluate.compare import probe_task
from fxformer.evaluate.equal_cost import at_least, choose, common, short, within
from fxformer.evaluate.held_out import held_out
from fxformer.evaluate.passages import example, fitting, passages
from fxformer.evaluate.probe import Labelled, accuracy, by_document, labelled
from fxformer.evaluate.scores import RatioEstimate, charges
from fxformer.inference.loaded_run import CheckpointCost

WORDS = "the cat sat on a mat and the dog ran to its small red house by old oak trees".split()


@pytest.fixture(scope="module")
def documents():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 400)) for _ in range(6)]


@pytest.fixture(scope="module")
def tokenizer():
    return Byte(specials=Specials()).make([])


def test_a_passage_is_a_piece_of_the_text_and_none_overlap(documents):
    found = passages(documents, words=24, number=50, seed=1)
    assert len(found) == 50
    for one in found:
        assert any(one.left + one.middle + one.right in text for text in documents)
        assert len(one.middle.split()) == 3
        assert len(one.left.split()) >= 6 and len(one.right.split()) >= 6
    assert len({one.left + one.middle + one.right for one in found}) == 50
    assert passages(documents, 24, 50, seed=1) == found


def test_the_longest_passages_that_all_can_read(documents, tokenizer):
    drawn, examples, left_out = fitting(documents, [(tokenizer, 400), (tokenizer, 160)], 40)
    assert len(drawn) == len(examples[0]) == len(examples[1]) == 40 - left_out
    assert len(drawn[0].left.split()) + len(drawn[0].right.split()) > 20
    assert all(len(one.text) <= 160 for one in examples[1])
    for passage, one in zip(drawn, examples[0], strict=True):
        assert tokenizer.decode(one.middle) == passage.middle
    with pytest.raises(ValueError, match="read 20, 400 tokens at once"):
        fitting(documents, [(tokenizer, 20), (tokenizer, 400)], 40)


def test_a_hole_with_a_joined_edge_is_left_out(documents, tokenizer):
    class Joining(type(tokenizer)):
        def encode(self, text):
            return super().encode(text)[: len(text) // 2]  # ids depend on what comes after

    one = passages(documents, 24, 1)[0]
    joining = Joining.from_files(tokenizer.files(), tokenizer.ids, tokenizer.template)
    assert example(one, tokenizer, 400) is not None
    broken = type(one)(one.left, "", one.right)
    assert example(broken, joining, 400) is None


def spent(step, joules):
    return CheckpointCost(step, step * 10.0, step * 1e3, joules, float(step))


def test_the_budget_is_what_all_have_reached():
    fast = [spent(100, 5.0), spent(200, 10.0)]
    slow = [spent(100, 20.0), spent(150, 30.0)]
    assert common([fast, slow], "joules") == 10.0
    assert common([fast, slow], "tokens") == 1500.0
    assert within(fast, 10.0, "joules").step == 200
    assert within(slow, 10.0, "joules") is None
    assert within(fast, 1500.0, "tokens").step == 100
    assert short(fast[0], 1500.0, "tokens") == pytest.approx(1 / 3)
    assert short(fast[0], 1010.0, "tokens") == 0


def test_without_a_budget_runs_that_kept_too_little_stand_at_their_final_checkpoints():
    fast, slow = [spent(100, 5.0), spent(200, 10.0)], [spent(150, 30.0), spent(200, 40.0)]
    assert choose([("a", fast), ("a", slow)], "tokens") == (2000.0, [fast[1], slow[1]], True)
    assert choose([("a", fast), ("b", slow)], "joules") == (10.0, [fast[1], slow[1]], False)
    with pytest.raises(ValueError, match="b kept no checkpoint of 20 joules or less.*--budget 30 "):
        choose([("a", fast), ("b", slow)], "joules", 20.0)


@pytest.mark.parametrize("cost", [1638400.0, 1.23456789, 30.0, 9.9999, 1e-9, 123456789012.3])
def test_a_budget_that_is_suggested_is_enough(cost):
    typed = float(at_least(cost))
    assert cost <= typed <= cost * 1.002
    assert within([CheckpointCost(1, cost, 0, 0, 0)], typed, "tokens") is not None


def loaded(folder, name, tokenizer=None, file="text.txt", **knobs):
    """What `held_out` and `charges` read of an loaded run."""
    recipe = tokenizer or Byte(specials=Specials())
    base = dict(packing=Segments(), length=32, batch=4, cache_dir=str(folder / "cache"))
    corpus = Text(tokenizer=recipe, files=str(folder / file), **base | knobs)
    run = SimpleNamespace(id=name, facts={"data": corpus.source.facts})
    return SimpleNamespace(run=run, corpus=corpus, tokenizer=corpus.source.tokenizer)


def test_runs_that_split_one_text_differently_are_asked_what_all_hold_out(tmp_path):
    rng = np.random.default_rng(1)
    lines = [" ".join(rng.choice(WORDS, 20)) for _ in range(300)]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    whole = loaded(tmp_path, "whole", valid_share=0.5)
    other = loaded(tmp_path, "other", Word(specials=Specials()), valid_share=0.5)
    by_line = loaded(tmp_path, "by_line", document_is="line", valid_share=0.5)
    texts, share = held_out([whole, other])  # another tokenizer
    assert share == 1 and texts == list(whole.corpus.documents("valid"))
    texts, share = held_out([whole, by_line])
    found = "\n".join(texts).split("\n")
    valid = set(by_line.corpus.documents("valid"))
    assert 0.3 < share < 0.7 and len(found) > 50
    assert set(found) <= valid & set("".join(whole.corpus.documents("valid")).split("\n"))
    (tmp_path / "others.txt").write_text("\n".join(line[::-1] for line in lines))
    with pytest.raises(ValueError, match="whole and others were trained on different text"):
        held_out([whole, loaded(tmp_path, "others", file="others.txt")])


def test_a_tiny_held_out_text_is_named(tokenizer):
    with pytest.raises(ValueError, match="too small to compare by: 9 characters.*valid_share"):
        fitting(["one short"], [(tokenizer, 400)], 40)
    assert by_document(["a few words", "and a few more"]) is None
    short = SimpleNamespace(corpus=SimpleNamespace(documents=lambda split: ["a few words"]))
    assert probe_task(None, short) == (None, None)


def test_a_probe_may_hold_any_character_of_json(tmp_path):
    rows = [{"text": f"a\u2028b\x85 {n}", "label": str(n % 2)} for n in range(8)]
    file = tmp_path / "probe.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    task, _ = probe_task(str(file), None)
    assert task.texts == [row["text"] for row in rows]


def test_what_a_tokenizer_does_not_give_back_is_charged(tmp_path, documents, tokenizer):
    drawn = passages(documents, 24, 10)
    exact, nothing = charges(SimpleNamespace(tokenizer=tokenizer), drawn)
    assert nothing == 0 and not exact.any()
    useless = Word(specials=Specials(), vocab_size=7).make(documents)
    bits, lossy = charges(SimpleNamespace(tokenizer=useless), drawn)
    sizes = np.array([passage.size for passage in drawn])
    assert lossy > 0.5 and bits.sum() / sizes.sum() > 4


def test_the_error_is_that_of_a_ratio():
    rng = np.random.default_rng(3)
    sizes = rng.integers(5, 20, 300).astype(float)
    draws = [RatioEstimate.of(rng.poisson(2 * sizes).astype(float), sizes) for _ in range(400)]
    values = np.array([one.value for one in draws])
    errors = np.array([one.error for one in draws])
    assert abs(values.mean() - 2) < 4 * values.std() / 20
    assert 0.85 < errors.mean() / values.std() < 1.15


def test_the_probe_finds_a_linear_label_and_none_in_noise():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 10))
    labels = (x[:, :3] @ rng.normal(size=(3, 4))).argmax(1)
    test = np.arange(400) % 2 == 1
    task = Labelled([""] * 400, labels, test)
    assert accuracy(x, task).mean() > 0.85
    blind = accuracy(rng.normal(size=(400, 10)), task).mean()
    assert abs(blind - 0.25) < 4 * (0.25 / 200) ** 0.5 + 0.1


def test_labels_from_documents_never_share_words_between_train_and_test(documents):
    task = by_document(documents)
    for label, document in enumerate(sorted(documents, key=len, reverse=True)):
        words = " ".join(document.split())
        own = [i for i in range(len(task.texts)) if task.labels[i] == label]
        trained = [words.index(task.texts[i]) for i in own if not task.test[i]]
        tested = [words.index(task.texts[i]) for i in own if task.test[i]]
        assert trained and tested and max(trained) < min(tested)


def test_given_labels_are_split_by_label():
    task = labelled([(str(i), "ab"[i % 2]) for i in range(16)])
    assert np.bincount(task.labels[task.test]).tolist() == [2, 2]
    assert task.guess == 0.5


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """An encoder and a decoder, a few steps each, on the same small text."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 200)) for _ in range(30)]
    (folder / "text.txt").write_text("\n\n".join(texts))
    small = ["size=tiny", "model.dim=16", "model.layers=1", "model.heads=2", "model.ffn.hidden=16"]
    text = ["data=text", "data.files=text.txt", "data.valid_share=0.3", "tokenizer=word"]
    rest = ["data.length=64", "data.batch=8", "energy=tdp", "trainer.steps=6"]
    saves = ["trainer.save_every=2", "trainer.keep_checkpoints=9", "trainer.eval_every=6"]
    runs = ("left", "model=gpt2", "objective=clm"), ("both", "model=bert", "objective=mlm")
    for name, *chosen in runs:
        code, _, err = called(
            "train", f"name={name}", *chosen, *small, *text, *rest, *saves, folder=folder
        )
        assert code == 0, err
    return folder


def test_two_objectives_on_one_table(two_runs):
    code, out, err = called(
        "compare", "left", "both", "--passages", "20", "--json", "found.json", folder=two_runs
    )
    assert code == 0, err
    found = json.loads((two_runs / "found.json").read_text())
    (kept,) = (two_runs / "runs" / ".compared").glob("*.json")  # for the dashboard
    assert json.loads(kept.read_text()) == found
    left, both = found["runs"]
    assert found["passages"] == 20 and found["unit"] == "tokens" and found["equal"]
    assert found["share"] == 1 and left["scores"]["lossy"] == 0  # words with one space between
    assert left["spent"]["tokens"] <= found["budget"] and both["spent"]["tokens"] <= found["budget"]
    first, second = left["scores"], both["scores"]
    assert first["reads_only_the_left"] and not second["reads_only_the_left"]
    assert first["pseudo"] is None and second["pseudo"]["value"] > 0
    assert 0.5 < first["infill"]["value"] < 8 and 0.5 < second["infill"]["value"] < 8
    gap = second["infill"]["beyond_first"]["value"]
    assert gap == pytest.approx(second["infill"]["value"] - first["infill"]["value"], abs=1e-6)
    assert 0 <= first["probe"]["value"] <= 1
    assert "20 passages" in out and "left" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["left", "nobody"], "no run 'nobody'"),
        (["left", "--budget", "1"], "kept no checkpoint of 1 tokens or less"),
        (["left", "--probe", "none.jsonl"], "--probe none.jsonl: No such file"),
        (["left", "--probe", "text.txt"], "line 1: expected"),
    ],
)
def test_what_cannot_be_compared_is_said(two_runs, words, said):
    code, _, err = called("compare", *words, folder=two_runs)
    assert code == 2 and said in err.replace("\n", " ")


def test_a_run_of_labelled_rows_is_refused():
    run = SimpleNamespace(run=SimpleNamespace(id="cls"), corpus=object())
    with pytest.raises(UserError, match="labelled or synthetic rows, .* fxformer show cls"):
        held_out([run])
