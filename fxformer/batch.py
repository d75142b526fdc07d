"""What travels: rows from the packer to an objective, batches from an objective to the model.

Everything here is plain arrays: numpy where it is made on the host, jax once it is placed on a mesh
(so `Any` in the annotations of `Batch` and `Labels`, whose optional fields are None).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from fxformer.spelling import Spelling, TokenText


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The ids an objective and a model need to know of a tokenizer. Ids that it lacks are None.

    special: [V] bool, ids that no noise touches and none produces (padding, markers, sentinels)
    starts_word, ends_sentence: [V] bool, ids that begin a word, or end a sentence, wherever they
        stand; asked only where `text` is None (see segmentation.py)
    text: the bytes of each token, from which words and sentences are told
    source: that of the sources of pairs, where they have another; None: this one
    shares_ids: whether `source` has the same ids for the same tokens
    """

    size: int
    pad: int
    special: np.ndarray
    starts_word: np.ndarray
    ends_sentence: np.ndarray
    unk: int | None = None
    bos: int | None = None  # also BERT's [CLS]
    eos: int | None = None  # also BERT's [SEP]
    mask: int | None = None
    sentinels: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()  # control codes (CTRL)
    text: TokenText | None = None
    spelling: Spelling | None = None  # where the tokenizer gives back every text exactly
    source: "Vocabulary | None" = None
    shares_ids: bool = False

    @property
    def of_source(self) -> "Vocabulary":
        """That of what the encoder of a seq2seq model reads."""
        return self if self.source is None else self.source

    @property
    def ordinary(self) -> np.ndarray:
        """Ids of all non-special tokens, ascending. [v] int32."""
        return np.flatnonzero(~self.special).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Limit:
    """What a packed row can hold besides its own tokens, so that nothing is lost later.

    need: (text tokens of pieces [P], tokens of the template, those of them behind the text) -> how
        much of the room each piece takes at most. [P]
    room: how much a row has
    """

    need: Callable[[np.ndarray, int, int], np.ndarray]
    room: float


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What rows of sentence pairs, pieces `[bos] A [eos] B [eos]`, say beside their tokens.

    types: [B, T] int32; 0 from bos to the first eos, 1 behind it; 0 in padding
    documents: [B, T] int64; the document a token is from, -1 for padding
    negatives: [B, T] int32; the tokens with another B of the same length in each piece; None where
        there is only one document
    negative_documents: [B, T] int64; the document that B is from
    """

    types: np.ndarray
    documents: np.ndarray
    negatives: np.ndarray | None = None
    negative_documents: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Rows:
    """Packed text on the host, before any objective has touched it.

    tokens: [B, T] int32; the padding id where segments is 0
    segments: [B, T] int32; 1, 2, … for the pieces of text packed in a row, 0 for padding, which
        is always at the end of a row
    examples: [B, T] int64; the corpus-wide index of the piece a token belongs to, -1 for padding.
        A draw of an objective depends on (seed, epoch, example) and nothing else, so it is the
        same however the piece is packed, batched or sharded.
    source, source_segments: [B, S] int32, for data that comes as pairs: what is asked (segments
        number the pieces as those of `tokens` do), while tokens holds the answers
    positions: [B, T] int64, index of each token in its document, for rows that continue earlier
        ones; None: a row begins with a piece of its own
    scored: [B, T] bool, the tokens whose prediction counts; None: all that are not padding
    pairs: for rows of sentence pairs
    types: [B, T] int32, token types of rows of labelled texts
    labels: those of labelled texts
    hidden: float32 vectors of a frozen body (task.frozen), [B, N, D] of the labels or [B, T, D]
    teacher: what a teacher gives for the targets of the batch (distillation.top_k)
    """

    tokens: np.ndarray
    segments: np.ndarray
    examples: np.ndarray
    seed: int = 0
    epoch: int = 0
    source: np.ndarray | None = None
    source_segments: np.ndarray | None = None
    scored: np.ndarray | None = None
    pairs: Pairs | None = None
    types: np.ndarray | None = None
    labels: "Labels | None" = None
    hidden: np.ndarray | None = None
    teacher: "TeacherTopK | None" = None
    positions: np.ndarray | None = None


class TeacherTopK(flax.struct.PyTreeNode):
    """The k most probable tokens of a teacher for each target of a batch, in nats.

    ids: of these tokens
    log_probs: of these tokens, at the temperature of the loss
    rest: log of the mass of all other tokens
    """

    ids: Int[Any, "B M k"]
    log_probs: Float[Any, "B M k"]
    rest: Float[Any, "B M"]


class Labels(flax.struct.PyTreeNode):
    """Labels of some pieces of text in each row.

    at: where the first token of a piece is; filled up with position 0 at weight 0
    classes: the right class; of other tasks numbers, several classes, positions, or one class for
        each token [B, T]
    weights: how much each label counts; of sentence pairs beside the targets of the batch: their
        number for each label. The shape is that of the labels: [B, N], or [B, T]
    index: number of the piece among those of its split, -1 for none; None: not needed
    """

    at: Int[Any, "B N"]
    classes: Any
    weights: Float[Any, "B *N"]
    index: Int[Any, "B N"] | None = None


class Batch(flax.struct.PyTreeNode):
    """What a model reads and must answer. Leading axis B everywhere; sharded over it.

    tokens: what the (only, or decoder) stack reads
    segments: the packed piece each token belongs to, 0 for padding
    targets: the right id at each position, or at each picked position; a safe id (0) where the
        weight is 0
    weights: how much each target counts, 0 or 1
    picked: positions whose targets count (masked LM: the masked ones), in ascending order, filled
        up with position 0 at weight 0; None: every position has a target
    source, source_segments: what the encoder of a seq2seq model reads
    types: token types (BERT's sentence A and B)
    prefix: tokens that a causal stack reads in both directions (prefix LM)
    noise: random bits for each picked position, for what an objective draws on the device
    balance: tokens of the whole batch for each of its targets, the same in all rows: brings a sum
        over targets and one over tokens to one weight, however the batch is cut
    positions: of each token, where that is not its index in its segment: in rows that continue
        those of the batch before, its index in its document
    labels: what whole pieces are to be classified as
    global_tokens: tokens of what an encoder reads that see all of their segment and are seen by
        all of it (Longformer)
    hidden: what a frozen body gives for these tokens, computed before (task.frozen): pooled for
        each label, or of each token
    teacher: what a teacher gives for each target, computed before (distillation.top_k)
    """

    tokens: Int[Any, "B T"]
    segments: Int[Any, "B T"]
    targets: Int[Any, "B M"] = None
    weights: Float[Any, "B M"] = None
    picked: Int[Any, "B M"] = None
    source: Int[Any, "B S"] = None
    source_segments: Int[Any, "B S"] = None
    types: Int[Any, "B T"] = None
    prefix: Bool[Any, "B T"] = None
    noise: UInt32[Any, "B M"] = None
    balance: Float[Any, "B"] = None
    positions: Int[Any, "B T"] = None
    labels: Labels | None = None
    global_tokens: Bool[Any, "B S"] = None
    hidden: Float[Any, "B N D"] = None
    teacher: TeacherTopK | None = None
