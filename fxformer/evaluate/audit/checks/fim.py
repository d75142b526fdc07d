"""Checks of fill in the middle."""

import dataclasses
from typing import Any

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check, once
from fxformer.evaluate.audit.checks.causal import causal_lm
from fxformer.evaluate.audit.checks.dispatch import objective_checks
from fxformer.objective.fim import FillInTheMiddle
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import counts_of, sums_before

TENTHS = 10  # classes of the place of a cut


@dataclasses.dataclass(frozen=True)
class Parts:
    """Pieces before and after, and between which marks each token afterwards stands.

    stage: [n] 0 before <PRE> (or without marks), 1 behind it, 2 behind <SUF>, 3 behind <MID>
    mark: [n] bool, the marks themselves
    """

    before: Pieces
    after: Pieces
    stage: np.ndarray
    mark: np.ndarray

    def count(self, stage: int, units: np.ndarray) -> np.ndarray:
        """Units of the text at this stage, of which each token has `units` [n]. [P]."""
        here = (self.stage == stage) & ~self.mark & ~self.after.end
        return np.bincount(self.after.piece, units * here, self.after.count).astype(np.int64)

    @property
    def turned(self) -> np.ndarray:
        """Pieces that have marks. [P] bool."""
        return counts_of(self.after.piece, self.after.count, self.mark) > 0


def fim_checks(objective: Any) -> tuple[Check, ...]:
    """Checks of `FillInTheMiddle`, between rows [B, W] and a batch of [B, T]."""

    def parts(rows: Rows, batch: Batch) -> Parts:
        """Read off the batch; the last token of a row is only a target there."""
        last = (np.asarray(batch.weights)[:, -1:] > 0) * np.asarray(batch.segments)[:, -1:]
        segments = np.concatenate([batch.segments, last], axis=1)
        tokens = np.concatenate([batch.tokens, np.asarray(batch.targets)[:, -1:]], axis=1)
        after = pieces_of(Rows(tokens, segments, segments), objective.vocabulary)
        mark = np.isin(after.tokens, objective.marks)
        seen = np.cumsum(mark)
        first = np.cumsum(after.lengths) - after.lengths
        stage = seen - (seen - mark)[np.minimum(first, max(len(seen) - 1, 0))][after.piece]
        return Parts(pieces_of(rows, objective.vocabulary), after, stage, mark)

    def torn(rows: Rows, batch: Batch) -> np.ndarray:
        """Without marks, what is behind <MID> put before what is behind <SUF>: the text."""
        seen = parts(rows, batch)
        place = np.array([0, 1, 3, 2])[np.minimum(seen.stage, 3)]
        place = np.where(seen.after.end & (seen.stage > 0), 4, place)
        order = np.lexsort((place, seen.after.piece))
        order = order[~seen.mark[order]]
        text = _spelt(objective, seen.after.tokens[order], seen.after.piece[order])
        right = _spelt(objective, seen.before.tokens, seen.before.piece)
        return (text != right).any(1) if len(text) == len(right) else np.ones(1, bool)

    def disordered(rows: Rows, batch: Batch) -> np.ndarray:
        """Marks other than <PRE>, <SUF>, <MID>, each once, or a number of them not 0 or 3."""
        seen = parts(rows, batch)
        marks = np.array(objective.marks)[np.clip(seen.stage[seen.mark] - 1, 0, 2)]
        number = counts_of(seen.after.piece, seen.after.count, seen.mark)
        return np.concatenate(
            [seen.after.tokens[seen.mark] != marks, (number != 0) & (number != 3)]
        )

    def kinds(rows: Rows, batch: Batch) -> np.ndarray:
        """As they are read: a piece that was to be turned and has no marks is left alone."""
        pieces, kind, _ = _drawn(objective, rows)
        seen = parts(rows, batch)
        if seen.after.count != pieces.count:
            return np.zeros(3, np.int64)
        kind = np.where(seen.turned, kind, 0)
        return np.bincount(kind[objective.splitting.can(pieces)], minlength=3)

    def elsewhere(rows: Rows, batch: Batch) -> np.ndarray:
        """Parts of other lengths than drawn. SPM shows the length of the suffix only."""
        seen = parts(rows, batch)
        pieces, kind, cuts = _drawn(objective, rows)
        if seen.after.count != pieces.count:
            return np.ones(1, bool)
        exact, borders = objective.plan(rows, pieces).exact, _borders(objective, pieces, cuts)
        one, two = (np.where(exact, a, b) for a, b in zip(cuts, borders, strict=True))
        units = objective.splitting.units(seen.after.tokens)
        prefix = seen.count(1, units) - np.where(kind == 1, one, 0)
        suffix = seen.count(2, units) - (objective.measure(pieces) - two)
        return np.concatenate([prefix[seen.turned], suffix[seen.turned], seen.turned & (kind == 0)])

    def middle(rows: Rows, batch: Batch) -> np.ndarray:
        """|a - b| of two uniform on 0 … m is m (m + 2) / (3 (m + 1)) on average."""
        pieces, _, (one, two) = _drawn(objective, rows)
        m = objective.measure(pieces)
        return ((two - one) * 3 * (m + 1) / np.maximum(m * (m + 2), 1))[m > 0]

    def foreign(rows: Rows, batch: Batch) -> np.ndarray:
        """Parts that the tokenizer would cut otherwise, of the pieces whose parts are apart."""
        seen = parts(rows, batch)
        pieces, kind, _ = _drawn(objective, rows)
        if seen.after.count != pieces.count:
            return np.empty(0, bool)
        inside = ~seen.mark & ~seen.after.end & (seen.stage > 0)
        kinds = kind[seen.after.piece]
        inside &= (kinds == 1) | ((kinds == 2) & (seen.stage == 2))
        inside &= objective.plan(rows, pieces).exact[seen.after.piece]
        return _foreign(seen.after.tokens[inside], (4 * seen.after.piece + seen.stage)[inside])

    def _foreign(tokens: np.ndarray, part: np.ndarray) -> np.ndarray:
        spelling = objective.vocabulary.spelling
        edges = np.flatnonzero(np.diff(part)) + 1
        found = [one for one in np.split(tokens, edges) if len(one)]
        coded = spelling.encode_bytes([spelling.bytes_of(one).tobytes() for one in found])
        both = zip(found, coded, strict=True)
        return np.array([new is not None and not np.array_equal(old, new) for old, new in both])

    def place(rows: Rows, batch: Batch) -> np.ndarray:
        pieces, _, (one, two) = _drawn(objective, rows)
        m = objective.measure(pieces)
        return ((one + two) / np.maximum(2 * m, 1))[m > 0]

    def tenths(rows: Rows, batch: Batch) -> np.ndarray:
        """Of one of the two cuts of each PSM piece, as it is read; with a lot in [0, 1) for where
        in its unit it lies, its place is uniform whatever the length of the piece."""
        seen = parts(rows, batch)
        pieces, kind, _ = _drawn(objective, rows)
        m = objective.measure(pieces)
        if seen.after.count != pieces.count:
            return np.zeros(TENTHS, np.int64)
        prefix = seen.count(1, objective.splitting.units(seen.after.tokens))
        suffix = seen.count(2, objective.splitting.units(seen.after.tokens))
        draws = pieces.draws(rows.seed, rows.epoch).within("check of the cuts")
        cut = np.where(draws.uniform("which") < 0.5, prefix, m - suffix)
        place = (cut + draws.uniform("where")) / (m + 1)
        good = (kind == 1) & seen.turned
        return np.bincount((place * TENTHS).astype(np.int64)[good], minlength=TENTHS)[:TENTHS]

    rate, spm = objective.rate, objective.spm
    shares = (1 - rate, rate * (1 - spm), rate * spm)
    checks = (
        Check("pieces left alone, PSM and SPM", shares, kinds, "shares"),
        Check("parts put together are not the text", 0.0, torn, "exact"),
        Check("marks missing or out of order", 0.0, disordered, "exact"),
        Check("parts of other lengths than drawn", 0.0, elsewhere, "exact"),
        Check("length of the middle, as a share of the mean", 1.0, middle, "mean"),
        Check("place of the cuts in their piece", 0.5, place, "mean"),
        Check("tenth of their piece that the cuts are in", (0.1,) * TENTHS, tenths, "shares"),
    )
    if objective.split == "token":
        return checks
    return (*checks, Check("parts that the tokenizer cuts otherwise", 0.0, foreign, "exact"))


def _drawn(objective: Any, rows: Rows) -> tuple[Pieces, np.ndarray, tuple]:
    """The pieces, and the kind and the cuts drawn for each."""
    pieces = pieces_of(rows, objective.vocabulary)
    draws = pieces.draws(rows.seed, rows.epoch)
    return pieces, objective.kinds(pieces, draws), objective.cuts(pieces, draws)


def _borders(objective: Any, pieces: Pieces, cuts: tuple) -> tuple[np.ndarray, ...]:
    """Characters (or tokens) before the last border of two tokens before each cut. [P] each."""
    begun = objective.splitting.units(pieces.tokens) * ~pieces.end
    rank = sums_before(~pieces.end, pieces.piece, pieces.count)
    return tuple(
        np.bincount(pieces.piece, begun * (rank < cut[pieces.piece]), pieces.count)
        for cut in objective.splitting.between(pieces, cuts)
    )


def _spelt(objective: Any, tokens: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """What the tokens of each piece are made of, with the number of the piece. [k, 2]."""
    letters, sizes = objective.splitting.spelt(tokens)
    return np.stack([letters, np.repeat(piece, sizes)], axis=1)


@objective_checks.register
def fill_in_the_middle(objective: FillInTheMiddle) -> tuple[Check, ...]:
    """Shares, cuts, the text put together again, and those of a causal LM."""
    causal = causal_lm(objective)
    view = once(lambda rows, batch: (objective.turned(rows), batch))
    own = (check.through(view) for check in causal)
    return (*fim_checks(objective), *own)
