"""Model inputs of texts and pairs of texts with the special tokens of a family around them."""

import dataclasses

import numpy as np

from fxformer.batch import Batch
from fxformer.data.token_offsets import TokenOffsets
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError
from fxformer.inference.model import Model
from fxformer.objective.infilling import shifted

# families that write A eos eos B eos, not A eos B eos
DOUBLE_EOS = ("roberta", "xlm-roberta", "camembert", "longformer", "bart", "led")
NO_IDS = np.zeros(0, np.int32)


@dataclasses.dataclass(frozen=True)
class Templates:
    """Special tokens around one text, or around two.

    before, after: of a text, and of a pair
    between: of the two texts of a pair
    types: number of token types of the model
    """

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    types: int

    def single(self, ids: np.ndarray) -> Batch:
        """before A after, as a batch [1, t]."""
        return self._row([self.before, ids, self.after], NO_IDS)

    def pair(self, first: np.ndarray, second: np.ndarray) -> Batch:
        """before A between B after, as a batch [1, t]; B and what follows have token type 1."""
        return self._row([self.before, first, self.between], np.append(second, self.after))

    def second_begins(self, first: np.ndarray) -> int:
        """Index of the first token of B in `pair`."""
        return len(self.before) + len(first) + len(self.between)

    def _row(self, parts: list[np.ndarray], rest: np.ndarray) -> Batch:
        tokens = np.concatenate([*parts, rest]).astype(np.int32)[None]
        types = None
        if self.types > 1:
            types = (np.arange(tokens.shape[1]) >= tokens.shape[1] - len(rest)).astype(np.int32)
            types = types[None]
        return Batch(tokens, np.ones_like(tokens), types=types)


def templates(model: Model, family: str) -> Templates:
    """The Templates of a model. family: model_type of its config.json, "" for none"""
    tokenizer = tokenizer_of(model)
    closed = model.architecture != "decoder"
    after = tokenizer.suffix if closed else NO_IDS
    between = np.tile(after, 2) if family in DOUBLE_EOS else after
    types = 0 if model.architecture == "seq2seq" else model.module.num_types
    return Templates(tokenizer.prefix, between, after, types)


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
