"""Replaced-token detection (ELECTRA): a generator fills in masks, the model finds its errors."""

import functools
from typing import ClassVar, cast

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.model.generator import Generator, scale_transformer, unwrap_partial
from fxformer.nn.core import Embedding
from fxformer.nn.flops import kernel_size
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.detection import detection
from fxformer.objective.infilling import InfillExample
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.base import EncoderMasking
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.masking.tokens import ExactCount
from fxformer.objective.sample import sample
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.ops.dropout import split_key
from fxformer.types import NonNegative, Part, Share


class ReplacedTokenDetection(MaskedLM):
    """mean of -log p_G(token | rest) over the selected + weight · mean over all tokens of
    -log p_D(replaced or not | text with tokens of G). Clark et al. 2020 (ELECTRA), sec. 2.

    The model is the discriminator, with `head` in place of its own; its own goes to the generator,
    which is `generator_size` times as wide and reads and answers with the model's embeddings
    (words, and what positions and types add to them: one array each, under `model/`). Both are
    trained together; no gradient passes through the drawn tokens, so what the discriminator
    learns reaches the generator by the shared embeddings alone.

    Every token that is not padding counts for the discriminator, special tokens too (the sum over
    t = 1 … n of the paper, and the released code); these are never selected, so always original.
    A drawn token that equals the one that stood there is original. The weight is that of the two
    means, as in the released code; `batch.balance` brings both sums to one weight.

    Which token is drawn depends on the generator and on `batch.noise`, a function of (seed, epoch,
    example, position): the same for any packing, cut or number of devices, and in evaluation.
    """

    needs_embedding = Embedding

    whole_batches: ClassVar[bool] = True

    def __init__(
        self,
        model: Part,
        *,
        head: Part,
        generator_size: Share = 0.25,
        discriminator_weight: NonNegative = 50.0,
        masking: EncoderMasking = ExactCount(),
        replacement: Replacement = Replacement(1.0, 0.0),
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            functools.partial(model, head=head),
            masking=masking,
            replacement=replacement,
            loss=loss,
            vocabulary=vocabulary,
            rngs=rngs,
        )
        knobs, body = unwrap_partial(model)[1], self.model.transformer
        self.generator = Generator(
            transformer=scale_transformer(knobs["transformer"], generator_size, body.width),
            head=knobs["head"],
            vocab=self.model.vocab,
            width=body.width,
            rngs=rngs,
        )
        self.discriminator_weight = discriminator_weight

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> MaskedLM's batch; noise [B, M], balance [B]."""
        batch = super().corrupt(rows)
        picked = batch.picked
        examples = np.take_along_axis(rows.examples, picked, 1)
        ranks = np.take_along_axis(ranks_in_rows(rows.segments), picked, 1)
        bits = CounterRNG.of(rows.seed, rows.epoch, examples).bits("generator", ranks)
        noise = np.where(batch.weights > 0, bits >> np.uint64(32), 0).astype(np.uint32)
        targets, tokens = batch.weights.sum(), np.count_nonzero(rows.segments)
        balance = np.full(len(picked), tokens / max(targets, 1), np.float32)
        return batch.replace(noise=noise, balance=balance)

    def scoring_requests(self, hole: InfillExample) -> None:
        """None: the discriminator gives words no probability, and the generator is thrown away."""

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Sums:
        """{name: (sum, weight)}: loss, over all tokens; of the generator as in masked LM: nll and
        accuracy, over the selected; and what `detection` says of the discriminator."""
        first, second = split_key(key, 2)
        features, kernel, bias = self.proposals(batch, first)
        sums = self.loss(features, kernel, bias, batch.targets.ravel(), batch.weights.ravel())
        drawn = self.drawn(batch, features, kernel, bias)
        found = self.detect(batch, drawn, second)
        wrong = put(batch, drawn != batch.targets, jnp.zeros(batch.tokens.shape, bool))
        seen = detection(found, wrong, self.counted(batch))
        total, weight = seen["discriminator_loss"]
        loss = sums["loss"][0] * batch.balance[0] + self.discriminator_weight * total
        return {**sums, **seen, "loss": (loss, weight)}

    def counted(self, batch: Batch) -> Bool[Array, "B T"]:
        """Tokens at which the discriminator is scored: all but padding."""
        return batch.segments > 0

    def proposals(self, batch: Batch, key: Array | None = None):
        """The generator's (features [B·M E], kernel [V E], bias [V] | None) at the picked."""
        words, at = self.model.token_embedding, batch.positions
        body, read = self.model.transformer, words(batch.tokens)
        vectors = body.input_embeddings(read, batch.segments, types=batch.types, positions=at)
        hidden = self.generator(vectors, batch.segments, positions=at, key=key)
        hidden = jnp.take_along_axis(hidden, batch.picked[..., None], axis=1)
        features, kernel, bias = self.generator.projection(words.embedding[...])
        return features(hidden).reshape(-1, kernel.shape[-1]), kernel, bias

    def drawn(self, batch: Batch, features, kernel, bias) -> Int[Array, "B M"]:
        """A token of the generator's for each picked position."""
        size, chunk = self.vocabulary.size, self.loss.chunk
        noise = batch.noise.ravel()
        ids = sample(features, kernel, bias, noise, size=size, chunk=chunk)
        return ids.reshape(batch.picked.shape)

    def detect(
        self, batch: Batch, drawn: Int[Array, "B M"], key: Array | None = None
    ) -> Float[Array, "B T"]:
        """The discriminator's logit of each token's being replaced; float32."""
        tokens = put(batch, drawn, batch.tokens)
        hidden = self.model(batch.replace(tokens=tokens), key=key)
        return self.model.head(hidden).astype(jnp.float32)

    def answer(self, batch: Batch) -> tuple[Array, Array, Array]:
        """Read: the text with the generator's tokens. Written: a mask over each token that is
        taken for replaced. True: the text."""
        drawn = self.drawn(batch, *self.proposals(batch))
        read = put(batch, drawn, batch.tokens)
        called = (self.detect(batch, drawn) > 0) & (batch.segments > 0)
        written = jnp.where(called, cast(int, self.vocabulary.mask), read)
        return read, written, put(batch, batch.targets, batch.tokens)

    def passes(self, batch: Batch) -> tuple[tuple, ...]:
        """The generator on its masks, and the discriminator with its head at every token."""
        words = self.model.vocab * self.model.transformer.width + kernel_size(self.generator.head)
        every = (np.asarray(batch.segments) > 0).astype(np.float32)
        return (
            (self.generator, batch, words),
            (self.model, batch.replace(weights=every), kernel_size(self.model.head)),
        )


def put(batch: Batch, values: Array, onto: Array) -> Array:
    """`onto` [B, T] with `values` [B, M] at the picked positions that count."""
    onto, rows = jnp.asarray(onto), jnp.arange(onto.shape[0])[:, None]
    there = jnp.where(batch.weights > 0, batch.picked, onto.shape[1])  # out of range: dropped
    return onto.at[rows, there].set(values.astype(onto.dtype), mode="drop")


def ranks_in_rows(segments: np.ndarray) -> np.ndarray:
    """Index of each token within its own piece. [B, T] int64."""
    index = np.broadcast_to(np.arange(segments.shape[1]), segments.shape)
    new = np.ones(segments.shape, bool)
    new[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return index - np.maximum.accumulate(np.where(new, index, 0), axis=1)
