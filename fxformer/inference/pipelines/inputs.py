"""Model inputs of texts and pairs of texts with the special tokens of a family around them."""

import dataclasses

import numpy as np

from fxformer.batch import Batch
from fxformer.data.token_offsets import TokenOffsets
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.inference.model import Model
from fxformer.objective.infilling import shifted
from fxformer.task.text_template import TextTemplate, template_of


@dataclasses.dataclass(frozen=True)
class Templates(TextTemplate):
    """A TextTemplate whose results are batches. types: number of token types of the model"""

    types: int

    def single(self, ids: np.ndarray) -> Batch:
        """before A after, as a batch [1, t]."""
        return self._row(ids)

    def pair(self, first: np.ndarray, second: np.ndarray) -> Batch:
        """before A between B after, as a batch [1, t]; B and what follows have token type 1."""
        return self._row(first, second)

    def _row(self, first: np.ndarray, second: np.ndarray | None = None) -> Batch:
        tokens, types = self.join(first, second)
        known = types[None] if self.types > 1 else None
        return Batch(tokens[None], np.ones_like(tokens)[None], types=known)


def templates(model: Model) -> Templates:
    """The Templates of a model, as it was trained on pairs (model.pair_separators)."""
    separators = (model.config.get("model") or {}).get("pair_separators", 1)
    closed = model.architecture != "decoder"
    made = template_of(tokenizer_of(model), separators, closed=closed)
    types = 0 if model.architecture == "seq2seq" else model.module.num_types
    return Templates(made.before, made.between, made.after, types)


def tokenizer_of(model: Model) -> Tokenizer:
    """The tokenizer of what a model reads. UserError for a model without one."""
    if model.tokenizer is None:
        raise UserError(f"{model.name} has no tokenizer that can be read")
    return model.tokenizer.of_source if model.architecture == "seq2seq" else model.tokenizer


def readable(model: Model, row: Batch) -> Batch:
    """The input as the model's architecture reads it. UserError if it is too long.

    Of an encoder-decoder it is the source, and shifted right what the decoder reads (BART, T5)."""
    length = row.tokens.shape[1]
    if model.max_tokens is not None and length > model.max_tokens:
        raise UserError(
            f"the text has {length} tokens with its special tokens, and {model.name} reads at most "
            f"{model.max_tokens}: shorten it by about {length - model.max_tokens}"
        )
    if model.architecture != "seq2seq":
        return row
    tokens = shifted(row.tokens[0], model.start_id)[None]
    return row.replace(tokens=tokens, source=row.tokens, source_segments=row.segments)


def token_ids(tokenizer: Tokenizer, text: str, what: str = "text") -> np.ndarray:
    """Token ids of a text. [n] int32. UserError if it has none."""
    ids = tokenizer.encode(text)
    _check_tokens(ids, text, what)
    return ids


def with_offsets(tokenizer: Tokenizer, text: str, what: str = "text") -> TokenOffsets:
    """Token ids and character offsets of a text. UserError if it has no token."""
    found = tokenizer.encode_offsets(text)
    _check_tokens(found.ids, text, what)
    return found


def _check_tokens(ids: np.ndarray, text: str, what: str) -> None:
    if not len(ids):
        raise UserError(f"{what} has no tokens: {text!r:.60} is empty to its tokenizer")
