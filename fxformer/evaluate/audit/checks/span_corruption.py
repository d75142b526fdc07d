"""Checks of span corruption: source and target together are the text."""

from typing import Any

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import masking_checks, objective_checks
from fxformer.evaluate.audit.checks.shift_right import answer_checks
from fxformer.objective.pegasus import GapSentenceGeneration
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, ranks_of
from fxformer.objective.span_corruption import DropTokens, SpanCorruption
from fxformer.objective.ul2 import MixtureOfDenoisers


def corruption_checks(objective: Any) -> tuple[Check, ...]:
    """Checks of `SpanCorruption` between rows and batch; all but the first read the batch."""
    marks = np.full(objective.vocabulary.size, -1)
    marks[list(objective.span_sentinels)] = np.arange(len(objective.span_sentinels))

    def torn(rows: Rows, batch: Batch) -> np.ndarray:
        """Spans put back where their sentinels stand, sentinels taken out: the text again."""
        pieces, masked = objective.seen(rows)
        at, token, piece = flat(batch.source, batch.source_segments, pieces)
        to, wrote, owner = flat(batch.targets, batch.segments, pieces)
        span = np.cumsum(marks[wrote] >= 0) - 1  # every target begins with a sentinel
        which = _place_of(piece, marks[token], owner, marks[wrote])[np.maximum(span, 0)]
        lone = which < 0  # the final sentinel has no place in the source
        text = np.concatenate([token, wrote])
        order = np.lexsort(
            (
                np.concatenate([np.zeros(len(at)), 1 + to]),
                np.concatenate([np.arange(len(at)), which]),
            )
        )
        keep = np.concatenate([marks[token] < 0, (marks[wrote] < 0) & ~lone])[order]
        ordinary = ~objective.vocabulary.special
        merged = text[order][keep]
        merged = merged[ordinary[merged]]
        return _differ(merged, pieces.tokens[pieces.free])

    def source_marks(rows: Rows, batch: Batch) -> np.ndarray:
        pieces, _ = objective.seen(rows)
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        mark = marks[token] >= 0
        return marks[token[mark]] != ranks_of(piece[mark], pieces.count)

    def target_marks(rows: Rows, batch: Batch) -> np.ndarray:
        pieces, _ = objective.seen(rows)
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        _, wrote, owner = flat(batch.targets, batch.segments, pieces)
        mark, read = marks[wrote] >= 0, counts_of(piece, pieces.count, marks[token] >= 0)
        final = counts_of(owner, pieces.count, mark) - 1
        order = marks[wrote[mark]] != ranks_of(owner[mark], pieces.count)
        return np.concatenate([order, (final != read)[pieces.lengths > 0]])

    def after(rows: Rows, batch: Batch) -> np.ndarray:
        """Ordinary tokens behind the final sentinel, or before the first."""
        pieces, _ = objective.seen(rows)
        _, wrote, owner = flat(batch.targets, batch.segments, pieces)
        mark = marks[wrote] >= 0
        number = counts_of(owner, pieces.count, mark)
        before = np.cumsum(mark) - (np.cumsum(number) - number)[owner]
        outside = (before == number[owner]) | (before == 0)
        return outside & ~mark & ~objective.vocabulary.special[wrote]

    return (
        Check("hidden tokens other than the target's", 0.0, _hidden_differ(objective), "exact"),
        Check("source and target put together are not the text", 0.0, torn, "exact"),
        Check("sentinels of a source not 0, 1, 2 …", 0.0, source_marks, "exact"),
        Check("sentinels of a target not those and one more", 0.0, target_marks, "exact"),
        Check("text outside the spans of a target", 0.0, after, "exact"),
        *shift_checks(objective),
    )


def drop_checks(objective: Any) -> tuple[Check, ...]:
    """Checks of `DropTokens`, between rows and batch."""

    def left(rows: Rows, batch: Batch) -> np.ndarray:
        pieces, masked = objective.seen(rows)
        stays = np.ones(len(pieces.tokens), bool)
        stays[masked.index] = False
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        same = _differ(token, pieces.tokens[stays])
        return np.concatenate([same, _differ(piece, pieces.piece[stays])])

    return (
        Check("hidden tokens other than the target's", 0.0, _hidden_differ(objective), "exact"),
        Check("source other than what is left", 0.0, left, "exact"),
        *shift_checks(objective),
    )


def shift_checks(objective: Any) -> tuple[Check, ...]:
    """The decoder reads its own target, one later; measured within the batch."""

    def view(rows: Rows, batch: Batch) -> tuple[Rows, Batch]:
        segments = np.asarray(batch.segments)
        return Rows(np.where(segments > 0, batch.targets, 0), segments, segments), batch

    start = getattr(objective.vocabulary, objective.start)
    return tuple(check.through(view) for check in answer_checks(start))


def _hidden_differ(objective: Any):
    def differ(rows: Rows, batch: Batch) -> np.ndarray:
        pieces, masked = objective.seen(rows)
        _, wrote, owner = flat(batch.targets, batch.segments, pieces)
        text = ~objective.vocabulary.special[wrote]
        same = _differ(wrote[text], pieces.tokens[masked.index])
        return np.concatenate([same, _differ(owner[text], pieces.piece[masked.index])])

    return differ


def flat(
    tokens: np.ndarray, segments: np.ndarray, pieces: Pieces
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(place, token, piece) of everything that is not padding, row by row."""
    place = np.flatnonzero(np.asarray(segments).reshape(-1))
    segment = np.asarray(segments).reshape(-1)[place]
    row, top = place // np.shape(segments)[1], int(pieces.segment.max(initial=0)) + 1
    known = pieces.row * top + pieces.segment
    piece = np.searchsorted(known, row * top + np.minimum(segment, top - 1))
    return place, np.asarray(tokens).reshape(-1)[place], piece


def _place_of(
    piece: np.ndarray, mark: np.ndarray, owner: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """For each sentinel of the targets, the index in the source of its like; -1: not there. [s]."""
    top = int(max(mark.max(initial=0), wanted.max(initial=0))) + 1
    there = np.flatnonzero(mark >= 0)
    key = piece[there] * top + mark[there]
    order = np.argsort(key, kind="stable")
    ask = (owner * top + wanted)[wanted >= 0]
    found = np.searchsorted(key[order], ask)
    hit = np.minimum(found, max(len(key) - 1, 0))
    if not len(key):
        return np.full(max(len(ask), 1), -1)
    right = key[order][hit] == ask
    return np.where(right, there[order][hit], -1)


def _differ(seen: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where two arrays differ; one True if they are not equally long."""
    return seen != right if len(seen) == len(right) else np.ones(1, bool)


@objective_checks.register
def span_corruption(objective: SpanCorruption) -> tuple[Check, ...]:
    """The masking's, and that source and target put together are the text."""
    masked = tuple(
        check.through(lambda rows, _: objective.seen(rows))
        for check in masking_checks(objective.masking)
    )
    return (*masked, *corruption_checks(objective))


@objective_checks.register
def drop_tokens(objective: DropTokens) -> tuple[Check, ...]:
    """The masking's, and that both sides are the text's tokens in order."""
    masked = tuple(
        check.through(lambda rows, _: objective.seen(rows))
        for check in masking_checks(objective.masking)
    )
    return (*masked, *drop_checks(objective))


@objective_checks.register
def gap_sentence_generation(objective: GapSentenceGeneration) -> tuple[Check, ...]:
    """The masking's, the shift's, and one mask in the source for each sentence."""
    kept = (
        check for check in drop_tokens(objective) if check.name != "source other than what is left"
    )
    return (*kept, *source_checks(objective))


def source_checks(objective: Any) -> tuple[Check, ...]:
    """Checks of `GapSentenceGeneration`'s sources, between rows and batch."""

    def left(rows: Rows, batch: Batch) -> np.ndarray:
        pieces, masked = objective.seen(rows)
        stays = np.ones(len(pieces.tokens), bool)
        stays[masked.index] = False
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        text = token != objective.vocabulary.mask
        same = token[text], piece[text]
        right = pieces.tokens[stays], pieces.piece[stays]
        if len(same[0]) != len(right[0]):
            return np.ones(1, bool)
        return (same[0] != right[0]) | (same[1] != right[1])

    def masks(rows: Rows, batch: Batch) -> np.ndarray:
        """Masks of each piece less its hidden sentences, and masks in the wrong place."""
        pieces, masked = objective.seen(rows)
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        mask = token == objective.vocabulary.mask
        number = counts_of(piece, pieces.count, mask) - masked.number(pieces)
        if number.any():
            return number
        first = np.sort(masked.index[masked.begins(pieces)])
        gone = np.zeros(len(pieces.tokens), np.int64)
        gone[masked.index] = 1
        before = (np.cumsum(1 - gone) - (1 - gone))[first]  # tokens that stay before each span
        return np.concatenate([number, (np.cumsum(~mask) - ~mask)[mask] - before])

    return (
        Check("source tokens other than what is left", 0.0, left, "exact"),
        Check("masks other than one for each sentence, in its place", 0.0, masks, "exact"),
    )


@objective_checks.register
def mixture_of_denoisers(objective: MixtureOfDenoisers) -> tuple[Check, ...]:
    """The denoisers', those of span corruption, and the mode tokens."""

    def modes(rows: Rows, batch: Batch) -> np.ndarray:
        """Sources that do not begin with their mode, and modes elsewhere."""
        pieces, masked = objective.seen(rows)
        _, token, piece = flat(batch.source, batch.source_segments, pieces)
        lead = np.diff(piece, prepend=-1) != 0
        known = np.isin(token, objective.vocabulary.sentinels[len(objective.span_sentinels) :])
        wrong = token[lead] != objective.mode_tokens(masked)[piece[lead]]
        number = counts_of(piece, pieces.count, known)
        return np.concatenate([wrong, (number != 1)[pieces.lengths > 0]])

    masked = (
        check.through(lambda rows, _: objective.seen(rows))
        for check in masking_checks(objective.masking)
    )
    return (
        *masked,
        *corruption_checks(objective),
        Check("sources without their mode token in front", 0.0, modes, "exact"),
    )
