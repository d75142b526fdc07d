"""Sequence to sequence: the loss of each target token, references, prefixes, generated texts."""

import dataclasses
import importlib.util

import jax
import numpy as np
import pytest
from omegaconf import OmegaConf

from fxformer.batch import Batch
from fxformer.config.compatibility import incompatibilities
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import Generated
from fxformer.inference.pipelines.model_card import ModelCard, trained_params
from fxformer.metrics.translation import Bleu
from fxformer.train import generated_texts
from fxformer.train.evaluation import EvaluationAborted
from fxformer.train.split_batches import SplitBatches
from tests.composing import composed
from tests.first_state import first_state
from tests.physics import training
from tests.task.rows import TINY, write
from tests.task.seq2seq import reversed_rows, setup_of


def sums_of(setup, params) -> dict[str, tuple[float, float]]:
    """Sums and weights of the validation rows."""
    evaluate, total = jax.jit(setup.evaluate), {}
    for batch in SplitBatches(setup):
        for name, pair in evaluate(params, batch)[0].items():
            total[name] = np.add(total.get(name, (0.0, 0.0)), np.array(pair, float))
    return total


def reference_sums(setup, params, smoothing: float) -> dict[str, tuple[float, float]]:
    """The same in NumPy, from the logits of each example alone and its texts."""
    tokenizer, objective = setup.data.tokenizer, setup.objective_with(params)
    rows, total = setup.data.packed["valid"].read, np.zeros(3)
    architecture, ids = objective.model.architecture, tokenizer.ids

    @jax.jit
    def logits_of(batch):
        return objective.model.logits(objective.model(batch))[0]

    def padded(values):  # one shape for all
        row = np.zeros((1, 32), np.int32)
        row[0, : len(values)] = values
        return row, (np.arange(32) < len(values)).astype(np.int32)[None]

    for row in rows:
        source = [ids.bos, *tokenizer.encode(row.value("source"))]
        target = [*tokenizer.encode(row.value("target")[0]), ids.eos]
        if architecture == "decoder":
            batch, first = Batch(*padded([*source, ids.bos, *target])), len(source)
        else:
            target, first = [ids.bos, *target], 0
            read, segments = padded([*source, ids.eos])
            batch = Batch(*padded([ids.eos, *target[:-1]]), source=read, source_segments=segments)
        logits = np.asarray(logits_of(batch), float)[first : first + len(target)]
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        right = log_probs[np.arange(len(target)), target]
        smooth = (1 - smoothing) * right + smoothing * log_probs.mean(-1)
        total += -smooth.sum(), -right.sum(), len(target)
    return {"loss": (total[0], total[2]), "nll": (total[1], total[2])}


@pytest.mark.parametrize("model", ["bart", "gpt2"])
@pytest.mark.sample(2)
def test_each_target_token_counts_once_however_rows_are_packed(tmp_path, model):
    """Padded and packed equal NumPy's sums of each example alone, with label smoothing."""
    smooth = "objective.loss.smoothing=0.1"
    setups = [
        setup_of(tmp_path, smooth, *more, model=model)
        for more in ((), ("data.batch=2", "data/packing=segments"))
    ]
    params = first_state(setups[0]).params
    wanted = reference_sums(setups[0], params, 0.1)
    rows, packed = (len(setup.data.packed["valid"]) for setup in setups)
    assert packed < rows == 12
    for setup in setups:
        found = sums_of(setup, params)
        for name, pair in wanted.items():
            np.testing.assert_allclose(found[name], pair, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize("model", ["t5", "gpt2"])
def test_targets_are_the_first_references_and_inputs_precede_them(tmp_path, model):
    rows = reversed_rows(12, seed=1)
    rows[0] = {"source": "red stone", "target": ["tree", "x"]}
    valid = write(tmp_path / "v.jsonl", rows)
    setup = setup_of(tmp_path, f"data.valid_files={valid}", "task.prefix='turn: '", model=model)
    tokenizer, ids = setup.data.tokenizer, setup.data.tokenizer.ids
    read = SplitBatches(setup)
    batches, number = [jax.device_get(batch) for batch in read], 0
    for batch in batches:
        for n in range(min(len(batch.tokens), 12 - number)):
            counted = batch.weights[n] > 0
            target, source = batch.targets[n][counted], rows[number]["source"]
            first = rows[number]["target"]
            first = first if isinstance(first, str) else first[0]
            assert tokenizer.decode(target) == first and target[-1] == ids.eos
            assert list(batch.tokens[n][counted][1:]) == list(target[:-1])  # shifted by one
            given = batch.tokens[n] if batch.source is None else batch.source[n]
            given = given[~counted] if batch.source is None else given
            assert tokenizer.decode(given) == f"turn : {source}"
            start = ids.bos if model == "gpt2" else ids.pad
            assert batch.tokens[n][counted][0] == start
            prompt = setup.data.packed["valid"].features[number].source
            assert tokenizer.decode(prompt) == f"turn : {source}"
            number += 1
    assert number == 12
    task = setup.corpus.task
    row = setup.data.packed["valid"].read[0]
    assert row.value("target") == ["tree", "x"]
    assert task.judged(["x"], [row.value("target")]).values["rougeL"] == 1.0  # any reference


def test_long_sources_and_targets_are_cut_and_counted_or_refused(tmp_path):
    rows = reversed_rows(6, longest=4)
    rows += [{"source": "red " * 20, "target": "blue"}, {"source": "red", "target": "blue " * 9}]
    valid = write(tmp_path / "v.jsonl", [*rows, rows[-1]])
    train = write(tmp_path / "t.jsonl", reversed_rows(12, longest=4))
    words = (f"data.files={train}", f"data.valid_files={valid}", "data.length=12",
             "task.target_length=8")  # fmt: skip
    setup = setup_of(tmp_path, *words)
    facts = setup.data.facts["valid"]
    assert (facts["truncated"], facts["target_truncated"]) == (1, 2)
    cut = setup.data.packed["valid"].features[-1]
    assert len(cut.target) == 8 and cut.target[-1] == setup.data.tokenizer.ids.eos
    with pytest.raises(UserError, match=r"v.jsonl, line 7: the source has 20 tokens and 10 fit"):
        setup_of(tmp_path, *words, "task.too_long=refuse")
    with pytest.raises(UserError, match="data.length=12 has no room for a source beside task"):
        setup_of(tmp_path, "data.length=12", "task.target_length=12", model="gpt2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model=bart", "objective=denoise"), "write objective=seq2seq or objective=clm"),
        (("model=gpt2",), "write objective=clm"),
        (
            ("model=gpt2", "objective=prefix"),
            "PrefixLM does not learn the task ConditionalGeneration",
        ),
        (("model=gpt2", "objective=clm"), None),
    ],
)
def test_other_objectives_are_refused(words, said):
    found = incompatibilities(composed([*words, "task=seq2seq"]))
    assert found == [] if said is None else said in found[0]


def fake_generate(model, settings: GenerationConfig, **given) -> Generated:
    """A perfect model: the words of each source in reverse, and the end of sequence."""
    ids, mask = given["source"], given["source_segments"] > 0
    texts = [
        [*row[kept][1:-1][::-1], settings.eos_token_id] for row, kept in zip(ids, mask, strict=True)
    ]
    made = np.zeros((len(ids), max(map(len, texts))), np.int32)
    for row, text in zip(made, texts, strict=True):
        row[: len(text)] = text
    lengths = np.array([len(text) for text in texts])
    return Generated(made, lengths, np.zeros(len(ids)))


def test_generated_texts_are_judged_and_shown(tmp_path, monkeypatch):
    calls = []

    def counted(model, settings, **given):
        calls.append(given)
        return fake_generate(model, settings, **given)

    monkeypatch.setattr(generated_texts, "generate", counted)
    beam = "generation@task.generation=beam"
    setup = setup_of(tmp_path, "trainer.metric=rougeL", beam)
    made = dataclasses.replace(setup.generated, objective_with=lambda params: setup.objective)
    assert made.settings.num_beams == 4 and made.settings.max_new_tokens == 16
    assert made.settings.decoder_start_token_id == setup.data.tokenizer.ids.eos
    texts = made.texts(None, range(12))
    rows = setup.data.packed["valid"].read
    assert texts == [row.value("target")[0] for row in rows]
    assert [len(one["source"]) for one in calls] == [4, 4, 4]
    numbers = np.concatenate([one["row_numbers"] for one in calls])
    assert sorted(numbers) == list(range(12))
    scores = setup.corpus.task.judged(texts, [row.value("target") for row in rows])
    assert set(scores.values.values()) == {1.0} and setup.trainer.best_direction({}) == "maximize"
    (first, *_), shown = rows, made.samples(None, 2)
    assert (shown[0].read, shown[0].wrote) == (first.value("source"), texts[0])
    stops = iter([False, True])
    with pytest.raises(EvaluationAborted):
        made.texts(None, range(12), lambda: next(stops))
    with pytest.raises(UserError, match="trainer.metric=rougeL .* task.generate_every=1"):
        dataclasses.replace(made, task=dataclasses.replace(made.task, generate_every=2))


@pytest.mark.slow
@pytest.mark.parametrize("words", [("model=seq2seq", "data.length=16", "model.layers=1"),
                                   ("model=gpt2", "objective=clm", "data.length=24",
                                    "model.layers=2")])  # fmt: skip
def test_a_model_learns_to_copy_sentences(tmp_path, words):
    """Exact texts, so BLEU 100; beams find what greedy search finds."""
    rows = [[row | {"target": row["source"]} for row in reversed_rows(n, seed, longest=5)]
            for n, seed in ((4000, 0), (40, 1))]  # fmt: skip
    train, valid = (write(tmp_path / f"{n}.jsonl", some) for n, some in enumerate(rows))
    setup = training.ready(
        "task=seq2seq", *words, *TINY, "task.target_length=8", "model.dim=32", "data.batch=64",
        "model.ffn.hidden=64", "optimizer.lr=5e-3", "optimizer.weight_decay=0",
        "trainer.steps=1000", f"data.files={train}", f"data.valid_files={valid}",
        f"data.cache_dir={tmp_path / 'cache'}", "generation@task.generation=beam",
    )  # fmt: skip
    params = training.train(setup).state.params
    texts = setup.generated.texts(params, range(40))
    assert texts == [row["target"] for row in rows[1]]
    greedy = dataclasses.replace(setup.generated.settings, num_beams=1)
    again = dataclasses.replace(setup.generated, settings=greedy, batch=7)
    assert again.texts(params, range(40)) == texts
    if importlib.util.find_spec("sacrebleu"):
        references = [[row["target"]] for row in rows[1]]
        assert Bleu().evaluate(texts, references).values["bleu"] == pytest.approx(100)


def test_pipelines_read_sources_and_write_texts_as_the_run_did():
    task = composed(["model=bart", "task=seq2seq", "task.prefix='turn: '",
                     "generation@task.generation=beam"]).task  # fmt: skip
    card = ModelCard(task_params=trained_params(OmegaConf.to_container(task)))
    for name in ("summarization", "text2text-generation", "translation_en_to_de"):
        params = card.params(name)
        assert params["prefix"] == "turn: " and params["num_beams"] == 4
        assert params["max_new_tokens"] == 64
