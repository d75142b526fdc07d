"""Base class of objectives: a module that owns a model, corrupts its input and computes a loss."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.errors import UserError
from fxformer.metrics.results import MetricResults
from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.objective.static_fields import Held, Tally
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.types import Part

# For a model of each architecture, what it can learn; for an objective, what can learn it.
NEAREST_OBJECTIVE = {"encoder": "mlm", "decoder": "clm", "seq2seq": "denoise"}
NEAREST_MODEL = {"encoder": "bert", "decoder": "gpt2", "seq2seq": "bart"}


class Objective(nnx.Module):
    """Host: rows -> `corrupt` -> batch. Device: batch -> {name: (sum, weight)}.

    legal: the architectures it can train
    needs: the special tokens it cannot do without, by their names in `Vocabulary`
    reads_pairs: whether its rows have a source of their own
    two_vocabularies: whether source and target may have a tokenizer each
    scores_text: whether its loss is -log of a probability of the text, as bits per byte want
    needs_lm_head: whether its loss reads the language-model head
    needs_embedding: class that the token embedding of its model must have; None: any
    whole_batches: whether what `corrupt` makes of a row depends on the others of its batch, by
        counts over all of them; several processes then make the whole batch each
    carries_memory: whether it can score rows that continue those of the batch before
    answer: (self, batch) -> ids [B T] of what is read, written and true, for samples; None: what
        its model answers by itself

    A subclass defines `legal`, `needs` and `corrupt`; `fxformer audit` tests what it does by the
    checks registered for its class (evaluate/audit/checks).
    """

    legal: ClassVar[frozenset[str]]
    needs: ClassVar[tuple[str, ...]] = ()
    reads_pairs: ClassVar[bool] = False
    two_vocabularies: ClassVar[bool] = False
    scores_text: ClassVar[bool] = False
    needs_lm_head: ClassVar[bool] = True
    needs_embedding: ClassVar[type | None] = None
    whole_batches: ClassVar[bool] = False
    carries_memory: ClassVar[bool] = False
    answer: ClassVar[Callable | None] = None

    def __init__(self, model: Part, *, loss: CrossEntropy, vocabulary: Vocabulary, rngs: nnx.Rngs):
        require(vocabulary, self.needs, type(self).__name__)
        self.model = model(vocab=vocabulary.size, rngs=rngs)
        self._check_architecture(self.model.architecture)
        if vocabulary.source is not None and (said := self.against_two_tokenizers()):
            raise UserError(said)
        self._check_source_rows(vocabulary)
        self.loss = loss
        self.tally = Tally()
        self._vocabulary = Held(vocabulary)

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids this objective works with; host only."""
        return self._vocabulary.value

    def row_length(self, length: int) -> int:
        """Tokens a packed row must have so that the model reads `length` of them."""
        return length

    def source_length(self, length: int) -> int | None:
        """Tokens the encoder of a seq2seq model reads for such a row; None without one."""
        return None

    def limits(self, width: int) -> tuple[Limit, ...]:
        """What packed rows of `width` tokens can hold besides those tokens; see `Limit`."""
        return ()

    def passes(self, batch: Batch) -> tuple[tuple, ...]:
        """What a step computes, to count its arithmetic: each model and the batch it reads, then
        what else `training_flops` may know of it."""
        return ((self.model, batch),)

    @abc.abstractmethod
    def corrupt(self, rows: Rows) -> Batch:
        """What the model reads and must answer. Numpy; a pure function of the rows."""

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest] | None:
        """Rows whose answers together are p(example | the rest, as far as this objective reads it).

        None where it has no way to ask: what it learns is no such probability.
        """
        return None

    def __call__(self, batch: Batch, *, key: Array | None = None) -> Sums:
        """{"loss", "nll", "accuracy"}: (sum, weight) over the targets that count.

        No key, no dropout. The head runs at `batch.picked` only, where that is given.
        """
        return self.score(self.model(batch, key=key), batch)

    def evaluate(self, batch: Batch) -> tuple[Sums, Any]:
        """(sums without dropout, outputs that metrics read; None: there are none)."""
        return self(batch), None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the numbers that `results` gives."""
        return ()

    @property
    def directions(self) -> Mapping[str, bool]:
        """{name: whether higher is better} of numbers of the evaluation whose names do not say it
        (metrics/direction.py)."""
        return {}

    @property
    def signatures(self) -> dict[str, str]:
        """{number: signature of its metric}; numbers of different signatures do not compare."""
        return {}

    def results(self, outputs: list, packed: Any) -> MetricResults | None:
        """Results of the metrics on a whole split; None: it has none.

        outputs: (labels, outputs) of each batch; packed: the split
        """
        return None

    def samples(self, outputs: list, packed: Any, count: int) -> list[tuple[str, str, str]]:
        """(input, answer, truth) of a few inputs, where there is no token to predict."""
        return []

    def score(self, hidden: Array, batch: Batch) -> Sums:
        """The same for the model's vectors [B T D]."""
        if batch.picked is not None:
            hidden = jnp.take_along_axis(hidden, batch.picked[..., None], axis=1)
        flat = hidden.reshape(-1, hidden.shape[-1])
        targets, weights = batch.targets.reshape(-1), batch.weights.reshape(-1)
        return self.model.head.score(flat, self.model.token_embedding, targets, weights, self.loss)

    def accept(self, rows: Rows) -> Rows:
        """The rows, if every token (of their source too, if they have one) is in the vocabulary.

        A device would not complain: an id out of range reads another row of the table, or NaN.
        """
        if getattr(rows, "source", None) is not None and not self.reads_pairs:
            raise UserError(
                f"{type(self).__name__} learns from single texts and would not read the sources of "
                "these pairs; write data/packing=prompted (a decoder reads source and target in "
                "one), or objective=seq2seq or objective=tokenlabel"
            )
        for name in ("tokens", "source"):
            tokens, words = getattr(rows, name), self.vocabulary
            top = words.size if name == "tokens" else words.of_source.size
            if tokens is None or not tokens.size or (tokens.min() >= 0 and tokens.max() < top):
                continue
            row, column = np.argwhere((tokens < 0) | (tokens >= top))[0]
            place = f"row {row}, column {column} of the {name}"
            if name == "tokens":
                place = f"example {rows.examples[row, column]}, {place}"
            raise UserError(
                f"token {tokens[row, column]} ({place}) is not an id of this tokenizer, which has "
                f"0 … {top - 1}: the text was encoded with another tokenizer; encode it again"
            )
        return rows

    @classmethod
    def against_two_tokenizers(cls) -> str | None:
        """Why it cannot train with a tokenizer for sources and one for targets; None: it can."""
        if cls.two_vocabularies:
            return None
        return (
            f"objective: {cls.__name__} makes source and target of one text, with one vocabulary, "
            "and they have two tokenizers here; write objective=seq2seq with pairs of texts "
            "(data.source_field=, data/packing=paired), or take one tokenizer for both"
        )

    def _check_source_rows(self, vocabulary: Vocabulary) -> None:
        """UserError where an id of a source has no row in the table that the source is read by."""
        size, table = vocabulary.of_source.size, getattr(self.model, "source_embedding", None)
        if table is None and vocabulary.source is not None and not vocabulary.shares_ids:
            raise UserError(
                "source and target have two tokenizers and the model one word table for both: "
                f"write model.network.source_vocab={size}"
            )
        if table is not None and table.embedding.shape[0] < size:
            raise UserError(
                f"model.network.source_vocab={table.embedding.shape[0]}: the tokenizer of the "
                f"source has {size} ids; write model.network.source_vocab={size} or more"
            )

    def _check_architecture(self, architecture: str) -> None:
        if architecture in self.legal:
            return
        wanted = sorted(self.legal)
        models = " or ".join(f"model={NEAREST_MODEL[name]}" for name in wanted)
        raise UserError(
            f"objective {type(self).__name__} needs {_listed(wanted)}, and this model is "
            f"{_listed([architecture])}: write objective={NEAREST_OBJECTIVE[architecture]}, or "
            f"{models}"
        )


def require(vocabulary: Vocabulary, names: tuple[str, ...], who: str) -> None:
    """Raise UserError if the vocabulary lacks one of these special tokens."""
    for name in names:
        if getattr(vocabulary, name) is None:
            raise UserError(
                f"{who} needs a {name} token, and this tokenizer has none: add it to the "
                "tokenizer's special tokens, or choose a tokenizer that has it"
            )


def _listed(names: list[str]) -> str:
    return " or ".join(("an " if name[0] in "aeiou" else "a ") + name for name in names)
