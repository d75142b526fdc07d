"""A loaded model on texts: the same numbers alone and in a batch, as a plain forward pass."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import fxformer
from fxformer.batch import Batch
from fxformer.errors import UserError
from tests.hf.fixture import HERE

TEXTS = ["the cat sat on a mat and the dog ran to its small red house", "the dog", "a red oak ran"]
TARGETS = ["a cat", "the small house by old oak trees", "dog"]
KINDS = ("encoder", "decoder", "seq2seq")


def answers(model, texts, targets):
    """{what: one array for each text}."""
    given = targets if model.architecture == "seq2seq" else None
    return {
        "logits": model.logits(texts, given),
        "states": model.hidden_states(texts, [0, 1, -1]),
        "scores": model.score(texts, given),
    }


def plain_batch(model, text, target):
    """One text as a batch without padding."""
    (ids,) = model.encode(text)
    if model.architecture != "seq2seq":
        return Batch(ids[None], np.ones_like(ids)[None])
    (wrote,) = model.encode(target, target=True)
    read = np.concatenate([[model.start_id], wrote[:-1]]).astype(np.int32)[None]
    one = np.ones_like(ids)[None]
    return Batch(read, np.ones_like(read), source=ids[None], source_segments=one)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_a_text_gives_the_same_numbers_alone_and_in_any_batch(model_of, kind):
    model = model_of(kind)
    together = answers(model, TEXTS, TARGETS)
    back = answers(model, TEXTS[::-1], TARGETS[::-1])
    for number, (text, target) in enumerate(zip(TEXTS, TARGETS, strict=True)):
        alone = answers(model, text, target)
        for what, made in together.items():
            np.testing.assert_allclose(made[number], alone[what][0], atol=1e-5)
            np.testing.assert_allclose(made[number], back[what][-1 - number], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_logits_and_states_are_those_of_a_plain_forward_pass(model_of, kind):
    model = model_of(kind)
    batch = plain_batch(model, TEXTS[1], TARGETS[1])
    module = nnx.merge(model.graphdef, model.params)
    given = TARGETS[1] if kind == "seq2seq" else None
    (logits,) = model.logits(TEXTS[1], given)
    np.testing.assert_allclose(logits, module.logits(module(batch))[0], atol=1e-5)
    states = module.hidden_states(batch)
    if kind == "seq2seq":
        (own,) = model.hidden_states(TEXTS[1], (0, -1), TARGETS[1])
        np.testing.assert_allclose(own, states[1][np.array([0, -1]), 0], atol=1e-5)
        states = states[0]
    (own,) = model.hidden_states(TEXTS[1], range(3))
    np.testing.assert_allclose(own, states[:, 0], atol=1e-5)
    np.testing.assert_allclose(model.hidden_states(TEXTS[1])[0], own[-1], atol=1e-5)


def log_softmax(x):
    return np.asarray(jax.nn.log_softmax(jnp.asarray(x, jnp.float32)), np.float64)


def test_the_score_of_a_decoder_is_the_log_likelihood_of_all_tokens_after_bos(model_of):
    model = model_of("decoder")
    for text, one in zip(TEXTS, model.token_scores(TEXTS), strict=True):
        (ids,) = model.encode(text)
        assert ids[0] == model.vocabulary.bos and one.tokens.tolist() == ids[1:].tolist()
        wanted = log_softmax(model.logits(text)[0])[np.arange(len(ids) - 1), ids[1:]]
        np.testing.assert_allclose(one.log_probs, wanted, atol=1e-5)
    (ended,), (open_end,) = model.token_scores("a cat", eos=True), model.token_scores("a cat")
    assert ended.tokens.tolist() == [*open_end.tokens, model.vocabulary.eos]


def test_a_continuation_is_scored_given_its_prompt(model_of):
    model, prefix = model_of("decoder"), model_of("prefix")
    whole = model.token_scores("the cat sat on")[0]
    part = model.token_scores("the cat", "sat on")[0]
    np.testing.assert_allclose(part.log_probs, whole.log_probs[2:], atol=1e-5)
    seen = prefix.token_scores("the cat", "sat on")[0]
    unseen = prefix.token_scores("the cat sat on")[0]
    assert seen.tokens.tolist() == part.tokens.tolist()
    assert np.abs(seen.log_probs - unseen.log_probs[2:]).max() > 1e-3  # the prompt sees itself


def test_the_score_of_an_encoder_masks_each_token_once(model_of):
    model = model_of("encoder")
    (one,) = model.token_scores("the cat ran")
    (ids,) = model.encode("the cat ran")
    assert one.tokens.tolist() == ids[1:-1].tolist()
    for place, value in enumerate(one.log_probs, 1):
        masked = ids.copy()
        masked[place] = model.vocabulary.mask
        wanted = log_softmax(model.logits(masked)[0])[place, ids[place]]
        assert value == pytest.approx(wanted, abs=1e-5)


def test_the_score_of_an_encoder_decoder_is_that_of_its_target(model_of):
    model = model_of("seq2seq")
    (one,) = model.token_scores(TEXTS[0], TARGETS[1])
    (ids,) = model.encode(TARGETS[1], target=True)
    assert one.tokens.tolist() == ids.tolist() and ids[-1] == model.vocabulary.eos
    (logits,) = model.logits(TEXTS[0], TARGETS[1])
    wanted = log_softmax(logits)[np.arange(len(ids)), ids]
    np.testing.assert_allclose(one.log_probs, wanted, atol=1e-5)
    assert model.score(TEXTS[0], TARGETS[1])[0] == pytest.approx(one.total)


def test_attention_of_a_text(model_of):
    (one,) = model_of("decoder").attention("the cat sat")
    assert one.kind == "decoder" and one.weights.shape[-2:] == (4, 4)
    kinds = [one.kind for one in model_of("seq2seq").attention("the cat", "a dog")]
    assert kinds == ["encoder", "decoder", "cross"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_gradients_and_jit_work_on_the_parameters(model_of, kind):
    model = model_of(kind)
    batch = plain_batch(model, TEXTS[1], TARGETS[1])
    assert type(model.params) is dict

    @jax.jit
    def loss(params):
        module = nnx.merge(model.graphdef, params)
        return jax.nn.logsumexp(module.logits(module(batch)))

    slopes = jax.grad(loss)(model.params)
    assert jax.tree.structure(slopes) == jax.tree.structure(model.params)
    norms = jax.tree.map(lambda x: float(jnp.abs(x).max()), slopes)
    assert max(jax.tree.leaves(norms)) > 0
    moved = model.replace(params=jax.tree.map(lambda x: x * 0, model.params))
    given = TARGETS[1] if kind == "seq2seq" else None
    assert np.ptp(moved.logits(TEXTS[1], given)[0]) == 0  # a zero model says nothing


BAD = [
    (["the cat", ""], r"texts\[1\] is empty"),
    ([None], r"texts\[0\] is None: expected a str"),
    (["a", 3], r"texts\[1\] is int 3: expected a str"),
    (7, "expected a text or a list of texts, got int 7"),
    (["a", np.zeros((2, 2), int)], r"texts\[1\] is an array \[2, 2\]"),
    (["the", "cat " * 2000], r"texts\[1\] has 200\d tokens, and .* reads at most \d+: shorten"),
    ([np.array([1, 10_000])], r"texts\[0\] has ids outside"),
]


@pytest.mark.parametrize(("texts", "said"), BAD)
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_texts_that_cannot_be_read_are_named(model_of, kind, texts, said):
    for ask in (model_of(kind).logits, model_of(kind).score, model_of(kind).hidden_states):
        with pytest.raises(UserError, match=said):
            ask(texts)


def test_questions_a_model_cannot_answer_say_why(model_of):
    encoder, seq2seq = model_of("encoder"), model_of("seq2seq")
    for act, said in [
        (lambda: encoder.hidden_states("cat", 7), "has layers 1 … 2"),
        (lambda: encoder.hidden_states("cat", "last"), "expected ints"),
        (lambda: encoder.logits("cat", "dog"), "no encoder-decoder"),
        (lambda: seq2seq.logits("cat"), "need targets="),
        (lambda: seq2seq.score(["cat", "dog"], ["a"]), "2 texts and 1 targets"),
        (lambda: encoder.score("cat", "dog"), "takes no targets"),
    ]:
        with pytest.raises(UserError, match=said):
            act()


def test_an_electra_run_has_logits_of_replaced_tokens_and_its_generator(model_of):
    model = model_of("electra")
    together = model.logits(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(found, model.logits(text)[0], atol=1e-5)
        batch = plain_batch(model, text, "")
        hidden = model.module(batch)
        np.testing.assert_allclose(found, model.module.head(hidden)[0], atol=1e-5)
    with pytest.raises(
        UserError, match=r"ELECTRA's discriminator, .* generator, `.generator`, has"
    ):
        model.score("the cat")
    (ids,) = model.encode("the cat sat")
    assert model.generator.logits("the cat sat")[0].shape == (len(ids), model.module.vocab)
    assert model.generator.score("the cat sat")[0] < 0
    filled = fxformer.pipeline("fill-mask", model, top_k=2)
    best = model.generator.logits("the <mask> sat")[0][2].argsort()[::-1][:2]
    assert [one["token"] for one in filled("the <mask> sat")] == best.tolist()
    assert "replaced-token detection" in str(model) and "the generator of" in str(model.generator)
    with pytest.raises(UserError, match="not implemented for the generator"):
        model.generator.save_pretrained("nowhere")
    alone = model.replace(generator=None)
    with pytest.raises(UserError, match="it is ELECTRA's discriminator"):
        fxformer.pipeline("fill-mask", alone)


def test_a_step_chooses_the_checkpoint(run_folder, model_of):
    early = fxformer.load(str(run_folder("decoder")), step=10)
    assert (early.step, model_of("decoder").step) == (10, 20)
    assert np.abs(early.logits("cat")[0] - model_of("decoder").logits("cat")[0]).max() > 1e-3
    named = fxformer.load("last", runs=run_folder("decoder").parent)
    assert named.name in {folder.name for folder in run_folder("decoder").parent.iterdir()}
    with pytest.raises(UserError, match="no checkpoint of step 11; the nearest is 10"):
        fxformer.load(run_folder("decoder"), step=11)
    half = fxformer.load(run_folder("decoder"), dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(half.params)} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("dtype", ["int8", "float31", bool])
def test_weights_are_floating_point_numbers(dtype):
    with pytest.raises(UserError, match="float32, bfloat16 or float16"):
        fxformer.load("nowhere", dtype=dtype)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
@pytest.mark.sample(2)
def test_a_hugging_face_folder_gives_the_numbers_of_transformers(name):
    model, wanted = fxformer.load(HERE / name), np.load(HERE / name / "reference.npz")
    kept = [mask > 0 for mask in wanted["in.attention_mask"]]
    texts = [ids[keep] for ids, keep in zip(wanted["in.input_ids"], kept, strict=True)]
    targets, stack, scored = None, "hidden_states", kept
    if name == "t5":
        read = wanted["in.decoder_input_ids"]
        model = model.replace(start=int(read[0, 0]))
        assert (read[:, 0] == model.start).all()
        targets, stack = [np.append(ids[1:], 1) for ids in read], "encoder_hidden_states"
        scored = [mask > 0 for mask in wanted["in.decoder_attention_mask"]]
    for row, states in enumerate(model.hidden_states(texts, [0, 1, 2])):
        of_row = wanted[f"out.{stack}"][:, row, kept[row]]
        np.testing.assert_allclose(states[: len(of_row)], of_row, atol=1e-5)
    for row, logits in enumerate(model.logits(texts, targets)):
        ours = logits[: len(scored[row])][: scored[row].sum()]
        np.testing.assert_allclose(ours, wanted["out.logits"][row, scored[row]], atol=1e-4)


def test_a_model_without_tokenizer_reads_ids_only():
    model = fxformer.load(HERE / "gpt2")
    assert model.max_tokens == 8 and model.score(np.arange(3, 7)).shape == (1,)
    with pytest.raises(UserError, match="gpt2 has no tokenizer"):
        model.score("a text")
    with pytest.raises(UserError, match="gpt2_body has no language-model head"):
        fxformer.load(HERE / "gpt2_body").logits(np.arange(3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sample(3)
def test_a_saved_model_is_the_same_model(model_of, kind, tmp_path):
    model = model_of(kind)
    moved = model.replace(params=jax.tree.map(lambda x: x * 0.5, model.params))
    made = moved.save_pretrained(tmp_path / "out")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(made.files)
    again = fxformer.load(tmp_path / "out")
    text, given = "the <mask> sat on a mat", TARGETS[1] if kind == "seq2seq" else None
    assert again.encode(text)[0].tolist() == model.encode(text)[0].tolist()
    np.testing.assert_allclose(
        again.logits(text, given)[0], moved.logits(text, given)[0], atol=1e-5
    )
    with pytest.raises(UserError, match="is not empty"):
        again.save_pretrained(tmp_path / "out")
    again.save_pretrained(tmp_path / "second")
    files = [tmp_path / name / "config.json" for name in ("out", "second")]
    assert files[0].read_text() == files[1].read_text()


def test_a_model_says_what_it_is(model_of):
    model = model_of("encoder")
    shown = repr(model)
    assert shown.startswith(f"Model {model.name!r}: architecture encoder; parameters ")
    assert "layers 2, 16 wide, 2 heads" in shown and "step 20" in shown
    table = model.replace(name="<b>")._repr_html_()
    assert "&lt;b&gt;" in table and "<td>encoder</td>" in table


def test_nothing_foreign_runs(run_folder, tmp_path):
    folder = tmp_path / "20260101-000000-foreign"
    shutil.copytree(run_folder("decoder"), folder)
    config = folder / "config.yaml"
    named, count = re.subn(r"_target_: fxformer\.nn\.\S+", "_target_: os.abort", config.read_text())
    assert count
    config.write_text(named)
    with pytest.raises(UserError, match="may not be opened"):
        fxformer.load(folder)
    config.write_text("data: 3")
    with pytest.raises(UserError, match="describes no model"):
        fxformer.load(folder)
    with pytest.raises(UserError, match="no run|no runs"):
        fxformer.load("nothing", runs=tmp_path)
    with pytest.raises(UserError, match="is not a folder with a config.json"):
        fxformer.load(str(tmp_path / "missing"))
    with pytest.raises(UserError, match="published model, which has no steps"):
        fxformer.load(HERE / "bert", step=3)


def test_importing_fxformer_imports_no_jax():
    said = "import sys, fxformer; assert 'load' in dir(fxformer); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said]).returncode == 0


@pytest.mark.slow
def test_the_documented_calls_run(model_of, monkeypatch):
    """The Python of docs/inference.md, with a tiny decoder in place of what it loads."""
    page = Path(__file__).parents[2] / "docs" / "inference.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    model = model_of("decoder")
    asked = []
    monkeypatch.setattr("fxformer.inference.load.load", lambda *a, **k: asked.append(a) or model)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert len(asked) == 4 and len(blocks) == 4
    (row,) = model.rows("The ship left")
    score = -names["surprise"](model.params)
    assert score == pytest.approx(model.score(row.tokens[0])[0], abs=1e-3)
