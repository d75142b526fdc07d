"""Masked language modelling on pairs of texts with a classification of the pair."""

import abc
import dataclasses
from typing import ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from fxformer.batch import Batch, Labels, Pairs, Rows, Vocabulary
from fxformer.errors import UserError
from fxformer.nn.task_head import ClassificationHead
from fxformer.objective.infilling import InfillExample
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.base import EncoderMasking
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.masking.tokens import Independent
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import counts_of, numbered, starts_of
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.ops.dropout import split_key
from fxformer.types import NonNegative, Part, Share

SHORTEST = 5  # tokens of the shortest piece, [bos] a [eos] b [eos]
CLASSES = 2  # 0: the pair is as in its document, 1: it is wrong


class SentencePairLM(MaskedLM):
    """-log p(hidden tokens) - sentence_weight · log p(class of the pair): means, added up.

    Devlin et al. 2019, sec. 3.1 (pre-training objectives). Each piece `[bos] A [eos] B [eos]` of
    data/packing=sentence_pairs is made wrong with probability `rate`, drawn anew every epoch; a
    subclass says how. Then tokens are hidden as `MaskedLM` does, never a special one. The class is
    read off the piece's first vector x: softmax(tanh(x W + b) W' + b'), for all pieces of a row, by
    the model's own head `next_sentence` where it has one (model/task_head=next_sentence).

    The loss is that of a batch, mean over hidden tokens + sentence_weight · mean over pieces,
    however the batch is cut in micro-batches; so `Labels.weights` count a piece as many times as
    there are hidden tokens for each. Metrics nll and accuracy are those of the hidden tokens,
    sentence_nll and sentence_accuracy those of the pieces.

    rate: share of the pairs that are wrong
    """

    legal = frozenset({"encoder"})
    reads_sentence_pairs: ClassVar[bool] = True
    needs_negatives: ClassVar[bool] = False
    whole_batches: ClassVar[bool] = True

    def __init__(
        self,
        model: Part,
        *,
        rate: Share = 0.5,
        sentence_weight: NonNegative = 1.0,
        masking: EncoderMasking = Independent(),
        replacement: Replacement = Replacement(),
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        knobs = {"masking": masking, "replacement": replacement, "loss": loss}
        super().__init__(model, vocabulary=vocabulary, rngs=rngs, **knobs)
        if self.model.num_types < 2:
            raise UserError(
                f"{type(self).__name__} needs a model that tells two texts apart, and this one has "
                f"{self.model.num_types} token types: write model.input.types=2, model=bert or "
                "model=albert, or objective=mlm"
            )
        given = "next_sentence" in getattr(self.model, "task_heads", {})
        own = {"classes": CLASSES, "pooling": "first", "act": jnp.tanh}
        head = None if given else ClassificationHead(self.model.dim, **own, rngs=rngs)
        self.next_sentence = head
        self.rate, self.sentence_weight = rate, sentence_weight

    @abc.abstractmethod
    def with_wrong_pairs(self, pieces: Pieces, pairs: Pairs, wrong: np.ndarray) -> tuple:
        """(tokens [n], types [n]) of all pieces, the pairs in `wrong` [P] bool replaced."""

    def wrong(self, pieces: Pieces, rows: Rows) -> np.ndarray:
        """Which pieces are to be made wrong. [P] bool."""
        return pieces.draws(rows.seed, rows.epoch).uniform("sentence pair") < self.rate

    def shown(self, rows: Rows) -> Rows:
        """The rows as the model would read them without masks, their types in `pairs`."""
        self.accept(rows)
        if rows.pairs is None or (self.needs_negatives and rows.pairs.negatives is None):
            raise UserError(self._lacking(rows))
        pieces = pieces_of(rows, self.vocabulary)
        new = self.with_wrong_pairs(pieces, rows.pairs, self.wrong(pieces, rows))
        place = rows.segments > 0
        tokens, types = rows.tokens.astype(np.int32), rows.pairs.types.astype(np.int32)
        tokens[place], types[place] = new
        return dataclasses.replace(rows, tokens=tokens, pairs=Pairs(types, rows.pairs.documents))

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] with pairs -> a masked LM's batch with types [B, T] and labels [B, T/5]."""
        shown = self.shown(rows)
        batch = super().corrupt(shown)
        pieces = pieces_of(rows, self.vocabulary)
        height, width = rows.tokens.shape
        row, slot = numbered(counts_of(pieces.row, height))
        shape = (height, max(width // SHORTEST, 1))
        at, classes, weights = (np.zeros(shape, kind) for kind in (np.int32, np.int32, np.float32))
        at[row, slot] = np.flatnonzero(rows.segments)[starts_of(pieces.lengths)] % width
        classes[row, slot] = self.wrong(pieces, rows)
        weights[row, slot] = batch.weights.sum() / max(pieces.count, 1)
        types = cast(Pairs, shown.pairs).types
        return batch.replace(types=types, labels=Labels(at, classes, weights))

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Sums:
        """A masked LM's sums, with the pairs' part in `loss`, and sentence_nll and
        sentence_accuracy: (sum, weight) over the pieces."""
        keys = split_key(key, 2)
        hidden, labels = self.model(batch, key=keys[0]), cast(Labels, batch.labels)
        sums = self.score(hidden, batch)
        logits = self.judged(hidden, labels.at, key=keys[1])
        logs = jax.nn.log_softmax(logits)
        nll = -jnp.take_along_axis(logs, labels.classes[..., None], axis=-1)[..., 0]
        counts = (labels.weights > 0).astype(jnp.float32)
        hits = counts * (logits.argmax(-1) == labels.classes)
        loss, weight = sums["loss"]
        joint = loss + self.sentence_weight * jnp.sum(labels.weights * nll)
        own = {"sentence_nll": jnp.sum(counts * nll), "sentence_accuracy": jnp.sum(hits)}
        own = {name: (jax.lax.stop_gradient(x), counts.sum()) for name, x in own.items()}
        return sums | own | {"loss": (joint, weight)}

    def judged(
        self, hidden: Float[Array, "B T D"], at: Int[Array, "B N"], *, key: Array | None = None
    ) -> Float[Array, "B N C"]:
        """The logits of the classes of the pieces that begin at these places; float32."""
        x = jnp.take_along_axis(hidden, at[..., None], axis=1).reshape(-1, 1, hidden.shape[-1])
        head = self.next_sentence
        head = self.model.task_heads["next_sentence"] if head is None else head
        logits = head(x, jnp.ones(x.shape[:2], jnp.int32), key=key)
        return logits.astype(jnp.float32).reshape(*at.shape, CLASSES)

    def scoring_requests(self, example: InfillExample) -> None:
        """It reads two texts; a example is in one."""

    def _lacking(self, rows: Rows) -> str:
        name = type(self).__name__
        if rows.pairs is None:
            return (
                f"{name} reads two texts of a document side by side, and these rows hold single "
                "texts: write data/packing=sentence_pairs, or objective=mlm"
            )
        return (
            f"{name} takes wrong texts from other documents, and this data is one document: write "
            "data.document_is=paragraph (data=text), or objective=sop"
        )
