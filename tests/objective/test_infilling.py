"""What objectives ask of a example is a probability: over all that could stand there it sums to 1.

A question that showed the answer (to the encoder, or too early to the decoder) would not.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import models
import numpy as np
import pytest
from flax import nnx

from fxformer.batch import Vocabulary
from fxformer.objective.causal import CausalLM
from fxformer.objective.denoise import DenoisingLM
from fxformer.objective.fim import FillInTheMiddle
from fxformer.objective.infilling import InfillExample, scoring_batch
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.random_spans import RandomSpans, Suffix
from fxformer.objective.mass import MaskedSeq2Seq
from fxformer.objective.mixture import Mixture, Share
from fxformer.objective.noise.delete import TokenDeletion
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.noise.mask import TokenMasking
from fxformer.objective.noise.permute import SentencePermutation
from fxformer.objective.pegasus import GapSentenceGeneration
from fxformer.objective.prefix import PrefixLM, PrefixSeq2Seq
from fxformer.objective.span_corruption import DropTokens, SpanCorruption
from fxformer.objective.ul2 import Denoiser, MixtureOfDenoisers

SIZE, BOS, EOS, MASK = 14, 1, 2, 3
LEFT, RIGHT = np.array([BOS, 8, 9, 10], np.int32), np.array([11, 12, EOS], np.int32)


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    """14 ids, of which 0 to 6 are special and 4, 5, 6 are sentinels."""
    special = np.arange(SIZE) < 7
    return Vocabulary(
        SIZE, 0, special, ~special, ~special, bos=BOS, eos=EOS, mask=MASK, sentinels=(4, 5, 6)
    )


@pytest.fixture(scope="module")
def built():
    """One real model of each architecture."""
    return {
        kind: models.tiny(kind, vocab=SIZE, seed=3) for kind in ("encoder", "decoder", "seq2seq")
    }


def part(objective, **knobs):
    return lambda model, vocabulary, rngs: objective(
        model, vocabulary=vocabulary, rngs=rngs, **knobs
    )


CASES = {
    "masked": part(MaskedLM),
    "causal": part(CausalLM),
    "prefix": part(PrefixLM),
    "fim": part(FillInTheMiddle, split="token"),
    "mixture": part(Mixture, parts=[Share(part(CausalLM)), Share(part(PrefixLM))]),
    "infill": part(DenoisingLM, noises=(SentencePermutation(), TextInfilling())),
    "mask": part(DenoisingLM, noises=(TokenMasking(),)),
    "delete": part(DenoisingLM, noises=(TokenDeletion(),)),
    "spans": part(SpanCorruption),
    "drop": part(DropTokens),
    "gaps": part(GapSentenceGeneration),
    "mass": part(MaskedSeq2Seq),
    "rest": part(PrefixSeq2Seq),
    "ul2": part(
        MixtureOfDenoisers, denoisers=(Denoiser(RandomSpans()), Denoiser(Suffix())), modes=1
    ),
}
LEGAL = {"masked": "encoder"} | dict.fromkeys(("causal", "prefix", "fim", "mixture"), "decoder")


def nats(objective, examples):
    """-log p of each example. [n] float64."""
    questions = [objective.scoring_requests(example) for example in examples]
    batch = scoring_batch([one for some in questions for one in some], 0)
    shape, state = nnx.split(objective.model)

    @jax.jit
    def read(state, batch):
        model = nnx.merge(shape, state)
        hidden = jnp.take_along_axis(model(batch), batch.picked[..., None], axis=1)
        scores = jax.nn.log_softmax(model.logits(hidden))
        right = jnp.take_along_axis(scores, batch.targets[..., None], -1)[..., 0]
        return -(right * batch.weights).sum(1)

    starts = np.cumsum([0, *(len(some) for some in questions)])[:-1]
    return np.add.reduceat(np.asarray(read(state, batch), np.float64), starts)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.sample(3)
def test_the_probabilities_of_all_words_add_up_to_one(name, closed, words, built):
    model = built[LEGAL.get(name, "seq2seq")]
    objective = CASES[name](lambda **_: model, vocabulary=words, rngs=nnx.Rngs(0))
    right = np.array([EOS], np.int32) if closed else RIGHT
    middles = [np.array(pair, np.int32) for pair in itertools.product(range(SIZE), repeat=2)]
    found = nats(objective, [InfillExample(LEFT, middle, right) for middle in middles])
    assert np.exp(-found).sum() == pytest.approx(1, abs=1e-4)
    assert found.std() > 0.01  # and they are not simply all the same


def test_a_question_that_shows_its_answer_is_found_out(words, built):
    class Leaks(PrefixLM):
        def scoring_requests(self, example):
            (question,) = super().scoring_requests(example)
            return [dataclasses.replace(question, prefix=question.prefix + 1)]

    objective = part(Leaks)(lambda **_: built["decoder"], vocabulary=words, rngs=nnx.Rngs(0))
    middles = [np.array(pair, np.int32) for pair in itertools.product(range(SIZE), repeat=2)]
    found = nats(objective, [InfillExample(LEFT, middle, RIGHT) for middle in middles])
    assert abs(np.exp(-found).sum() - 1) > 0.01


def test_a_causal_answer_is_the_loss_of_the_same_tokens(words, built):
    objective = part(CausalLM)(lambda **_: built["decoder"], vocabulary=words, rngs=nnx.Rngs(0))
    example = InfillExample(LEFT, np.array([7, 9, 13], np.int32), RIGHT)
    batch = scoring_batch(objective.scoring_requests(example), 0)
    shape, state = nnx.split(objective)
    loss, weight = jax.jit(lambda s, b: nnx.merge(shape, s)(b)["nll"])(state, batch)
    assert float(weight) == 3
    assert nats(objective, [example])[0] == pytest.approx(float(loss), rel=1e-5)


def test_what_has_no_probability_is_not_asked(words, built):
    noises = part(DenoisingLM, noises=(SentencePermutation(),))
    objective = noises(lambda **_: built["seq2seq"], vocabulary=words, rngs=nnx.Rngs(0))
    assert objective.scoring_requests(InfillExample(LEFT, LEFT[1:], RIGHT)) is None


def test_singles_leave_every_other_token_standing():
    example = InfillExample(LEFT, np.array([7, 8], np.int32), RIGHT)
    one, two = example.singles()
    assert [one.middle.tolist(), two.middle.tolist()] == [[7], [8]]
    assert (one.text == example.text).all() and (two.text == example.text).all()
    assert one.right[0] == 8 and two.left[-1] == 7
