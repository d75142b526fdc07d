"""Future n-gram prediction: predict several future tokens of masked fragments at each position."""

from collections.abc import Sequence
from typing import Literal, cast

import jax
from flax import nnx
from jaxtyping import Array, Float

from fxformer.batch import Batch, Vocabulary
from fxformer.errors import UserError
from fxformer.model.ngram import NgramDecoder
from fxformer.nn.core import Embedding
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.mass import MaskedSeq2Seq
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.ops.dropout import split_key
from fxformer.types import Count, NonNegative, Part, Rate


class FutureNgramPrediction(MaskedSeq2Seq):
    """Σ_s weight_s · -log p(token t | fragment up to t - 1 - s, text without it) / Σ_s weight_s.
    Qi et al. 2020 (ProphetNet), eq. 5.

    What is masked and what the decoder reads is MASS's, with a fragment in every block; every
    target is predicted by all streams, by stream s without the last s tokens before it.

    weights: of streams 0, 1, …, one for each the model's decoder has; equal in the released code.
        A stream of weight 0 has no gradient, but its nll is told
    """

    needs_embedding = Embedding

    def __init__(
        self,
        model: Part,
        *,
        weights: Sequence[NonNegative] = (1.0, 1.0),
        rate: Rate = 0.15,
        block: Count | None = 64,
        replacement: Replacement = Replacement(),
        start: Literal["eos", "bos", "pad"] = "pad",
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            model,
            rate=rate,
            block=block,
            replacement=replacement,
            start=start,
            loss=loss,
            vocabulary=vocabulary,
            rngs=rngs,
        )
        decoder = self.model.decoder
        if not isinstance(decoder, NgramDecoder):
            raise UserError(
                "future n-gram prediction needs a decoder with streams, and this is "
                f"{type(decoder).__name__}: write model=prophetnet, or objective=mass"
            )
        if len(weights) != decoder.ngram or not sum(weights):
            raise UserError(
                f"objective.weights has {len(weights)} numbers for the {decoder.ngram} streams of "
                f"model.decoder.ngram: write one for each, as "
                f"objective.weights={[1.0] * decoder.ngram}, not all 0"
            )
        self.weights = tuple(weight / sum(weights) for weight in weights)

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Sums:
        """{name: (sum, weight)} over the targets: loss; nll and accuracy of stream 0, which is
        what generates; nll_ahead_2 … of the streams that predict from further away."""
        features, kernel, bias = self.model.projection()
        targets, weights = batch.targets.reshape(-1), batch.weights.reshape(-1)
        hidden, sums, total = self.predicted_states(batch, key), {}, 0.0
        for stream, share in enumerate(self.weights):
            flat = features(hidden[:, stream]).reshape(-1, kernel.shape[-1])
            flat = flat if share else jax.lax.stop_gradient(flat)
            found = self.loss(flat, kernel, bias, targets, weights)
            total = total + share * found["loss"][0] if share else total
            if not stream:
                sums = found
            else:
                sums[f"nll_ahead_{stream + 1}"] = found["nll"]
        return sums | {"loss": (cast(Array, total), sums["nll"][1])}

    def predicted_states(self, batch: Batch, key: Array | None = None) -> Float[Array, "B n T D"]:
        """The vectors of all predicting streams."""
        model, (first, second) = self.model, split_key(key, 2)
        memory = model.encode(batch.source, batch.source_segments, key=first)
        hidden, _ = model.decoder.predict_ngrams(
            model.token_embedding(batch.tokens),
            batch.segments,
            len(self.weights),
            encoder_output=memory,
            encoder_segments=batch.source_segments,
            key=second,
        )
        return hidden[:, 1:]

    def passes(self, batch: Batch) -> tuple[tuple, ...]:
        """One pass with all streams, the head on each."""
        return ((self.model, batch, None, len(self.weights)),)
