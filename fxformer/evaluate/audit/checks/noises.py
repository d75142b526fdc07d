"""Checks of the noises of single tokens, sentences and texts."""

import functools
import math

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import noise_checks
from fxformer.evaluate.audit.checks.masked import replacement_checks
from fxformer.evaluate.audit.checks.noise_base import complete, honest, in_order, unchanged
from fxformer.objective.noise.delete import TokenDeletion
from fxformer.objective.noise.mask import TokenMasking
from fxformer.objective.noise.permute import SentencePermutation, sentences
from fxformer.objective.noise.rotate import DocumentRotation
from fxformer.objective.noise.shuffle import TokenShuffling
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, ranks_of


@noise_checks.register
def token_masking(noise: TokenMasking, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """The rate, the replacements, and nothing else changed."""
    return (
        *honest(),
        in_order(),
        Check("chosen share", noise.rate, _masked_share, "mean"),
        *(check.through(_swapped) for check in replacement_checks(noise.replacement, vocabulary)),
        Check("tokens changed without being chosen", 0.0, _strays, "exact"),
    )


def _chosen(before: Pieces, after: Pieces) -> np.ndarray:
    return before.free & ~after.free


def _masked_share(before: Pieces, after: Pieces) -> np.ndarray:
    return _chosen(before, after)[before.free]


def _swapped(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray]:
    chosen = _chosen(before, after)
    return before.tokens[chosen], after.tokens[chosen]


def _strays(before: Pieces, after: Pieces) -> np.ndarray:
    return (before.tokens != after.tokens)[~_chosen(before, after)]


@noise_checks.register
def token_deletion(noise: TokenDeletion, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """The rate; what is left is the text, in order, with no mark."""
    return (
        *honest(),
        in_order(),
        unchanged(),
        Check(
            "deleted share, the guaranteed token aside",
            noise.rate,
            functools.partial(_deleted_share, noise),
            "ratio",
        ),
        Check("marks left by the deleted", 0.0, lambda a, b: b.origin < 0, "exact"),
        Check("pieces left empty", 0.0, lambda a, b: (b.lengths == 0)[a.lengths > 0], "exact"),
    )


def _deleted_share(noise: TokenDeletion, before: Pieces, after: Pieces) -> np.ndarray:
    number = before.free_lengths
    alone = number == before.lengths  # only then can a piece become empty
    deleted = before.lengths - after.lengths + alone * noise.rate**number
    return np.stack([deleted, number], axis=1)[number > 0]


@noise_checks.register
def token_shuffling(noise: TokenShuffling, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """All tokens are there; as many stay, or keep their neighbour, as chance has it."""
    return (
        *honest(),
        complete(),
        unchanged(),
        Check("tokens in their old place, beyond one per piece", 0.0, _fixed, "mean"),
        Check("tokens after the one they came after, beyond chance", 0.0, _following, "mean"),
        Check("place of the token that was first", 0.5, _first, "mean"),
    )


def _shuffled(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(piece, rank, old rank) of the tokens between the ends, in their new order."""
    body = np.flatnonzero(~before.end)
    piece = before.piece[body]
    rank = ranks_of(piece, before.count)
    place = np.zeros(len(before.tokens), np.int64)
    place[body] = rank
    return piece, rank, place[after.origin[body]]


def _fixed(before: Pieces, after: Pieces) -> np.ndarray:
    piece, rank, old = _shuffled(before, after)
    number = counts_of(piece, before.count)
    return (counts_of(piece, before.count, rank == old) - 1)[number > 0]


def _following(before: Pieces, after: Pieces) -> np.ndarray:
    """Of m - 1 pairs each stays together, in order, with probability 1 / m."""
    piece, _, old = _shuffled(before, after)
    number = counts_of(piece, before.count)
    kept = (np.diff(old) == 1) & (np.diff(piece) == 0)
    seen = counts_of(piece[1:], before.count, kept)
    return (seen - (number - 1) / np.maximum(number, 1))[number > 1]


def _first(before: Pieces, after: Pieces) -> np.ndarray:
    piece, rank, old = _shuffled(before, after)
    number = counts_of(piece, before.count)
    lead = old == 0
    return ((rank + 0.5) / number[piece])[lead & (number[piece] > 1)]


@noise_checks.register
def sentence_permutation(noise: SentencePermutation, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """Sentences stay whole, all are there, and their order is uniform."""
    checks = (
        *honest(),
        complete(),
        unchanged(),
        Check("neighbours parted inside a sentence", 0.0, _torn, "exact"),
    )
    if noise.share < 1:
        return checks
    return (
        *checks,
        Check("pieces in their old order, beyond 1/s!", 0.0, _idle, "mean"),
        Check("place of the sentence that was first", 0.5, _first_place, "mean"),
    )


def _torn(before: Pieces, after: Pieces) -> np.ndarray:
    """Neighbours of one sentence that are neighbours no more."""
    place = np.zeros(len(before.tokens), np.int64)
    place[after.origin] = np.arange(len(after.origin))
    first, lengths, _ = sentences(before)
    sentence, rank = numbered(lengths)
    inner = (first[sentence] + rank)[rank > 0]
    return place[inner] != place[inner - 1] + 1


def _moved(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sentences of each piece, whether any moved, place of its first one), for two or more."""
    first, _, piece = sentences(before)
    place = np.zeros(len(before.tokens), np.int64)
    place[after.origin] = np.arange(len(after.origin))
    number = counts_of(piece, before.count)
    order = np.lexsort((place[first], piece))
    moved = counts_of(piece, before.count, order != np.arange(len(first))) > 0
    now = np.argsort(order) - (np.cumsum(number) - number)[piece]
    lead = now[ranks_of(piece, before.count) == 0]
    several = number > 1
    return number[several], moved[several], lead[several[number > 0]]


def _idle(before: Pieces, after: Pieces) -> np.ndarray:
    number, moved, _ = _moved(before, after)
    chance = np.array([1 / math.factorial(min(int(count), 20)) for count in number])
    return ~moved - chance


def _first_place(before: Pieces, after: Pieces) -> np.ndarray:
    number, _, lead = _moved(before, after)
    return (lead + 0.5) / number


@noise_checks.register
def document_rotation(noise: DocumentRotation, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """Cyclic order is kept, and the turn is uniform."""
    return (
        *honest(),
        complete(),
        unchanged(),
        Check("breaks of the cyclic order beyond one", 0.0, _breaks, "exact"),
        Check("rotated pieces, one in m unmoved", noise.share, _rotated, "mean"),
        Check("mean turn of a piece, as a share of m - 1", noise.share / 2, _turn, "mean"),
    )


def _rotated_body(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(piece, old rank) of the tokens between the ends, in their new order; length per piece."""
    body = np.flatnonzero(~after.end)
    piece = after.piece[body]
    old = np.full(len(before.tokens), -1)
    inside = np.flatnonzero(~before.end)
    old[inside] = ranks_of(before.piece[inside], before.count)
    return piece, old[after.origin[body]], counts_of(before.piece[inside], before.count)


def _breaks(before: Pieces, after: Pieces) -> np.ndarray:
    piece, old, lengths = _rotated_body(before, after)
    same = piece[1:] == piece[:-1]
    return ((old[1:] - old[:-1]) % np.maximum(lengths, 1)[piece[1:]] != 1)[
        same & (lengths > 1)[piece[1:]]
    ]


def _turns(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """(turn, length) of each piece with two tokens or more between its ends."""
    piece, old, lengths = _rotated_body(before, after)
    turn = old[ranks_of(piece, before.count) == 0]
    lengths = lengths[lengths > 0]
    return turn[lengths > 1], lengths[lengths > 1]


def _rotated(before: Pieces, after: Pieces) -> np.ndarray:
    turn, lengths = _turns(before, after)
    return (turn > 0) * lengths / (lengths - 1)


def _turn(before: Pieces, after: Pieces) -> np.ndarray:
    turn, lengths = _turns(before, after)
    return turn / (lengths - 1)
