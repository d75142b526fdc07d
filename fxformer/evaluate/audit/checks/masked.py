"""Checks of masked language modelling, its replacements, and ELECTRA's random bits."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.evaluate.audit.check import Check, once
from fxformer.evaluate.audit.checks.dispatch import masking_checks, objective_checks
from fxformer.objective.electra import ReplacedTokenDetection
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.pieces import Pieces, pieces_of

CELLS = 32  # classes for the uniformity of the random tokens


@dataclasses.dataclass(frozen=True)
class Fates:
    """The chosen tokens before and after, unit by unit.

    old, new: [k] int32; run: [k] int64, ascending, the unit of each
    """

    old: np.ndarray
    new: np.ndarray
    run: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """The first token of each unit: one independent draw of the unit's fate. Indices."""
        return np.flatnonzero(np.diff(self.run, prepend=-1))


@objective_checks.register
def masked_lm(objective: MaskedLM) -> tuple[Check, ...]:
    """The masking's, the replacement's, and what the batch must and must not touch."""
    untouched = _view(objective, lambda seen: (seen.before, seen))
    masked = once(functools.partial(_masked, objective))
    return (
        *(check.through(masked) for check in masking_checks(objective.masking)),
        *(
            check.through(functools.partial(_swapped, objective))
            for check in replacement_checks(objective.replacement, objective.vocabulary)
        ),
        *_unit_checks(objective),
        Check("tokens changed without being selected", 0.0, _strays, "exact").through(untouched),
        Check("special tokens or padding selected", 0.0, _forbidden, "exact").through(untouched),
        Check("targets other than the original", 0.0, _wrong, "exact").through(untouched),
    )


def _unit_checks(objective: MaskedLM) -> tuple[Check, ...]:
    """Only where a unit can have more than one token is there something to hold."""
    if objective.masking.single:
        return ()
    return tuple(
        check.through(functools.partial(_fates, objective))
        for check in fate_checks(objective.vocabulary)
    )


def _masked(objective: MaskedLM, rows: Rows, batch: Batch) -> tuple[Pieces, Masked]:
    """What the batch says is masked, in the spans the masking gives it."""
    seen = Seen.of(rows, batch, objective.vocabulary)
    pieces, index = seen.pieces, np.flatnonzero(seen.selected[rows.segments > 0])
    drawn = objective.masking(pieces, objective.mask_draws(pieces, rows))
    span = -1 - pieces.ranks  # of what was not drawn: each token its own
    span[drawn.index] = drawn.span
    return pieces, Masked(index, span[index])


def _fates(objective: MaskedLM, rows: Rows, batch: Batch) -> tuple[Rows, Fates]:
    pieces, masked = _masked(objective, rows, batch)
    place = np.flatnonzero(rows.segments)[masked.index]
    old, new = rows.tokens.reshape(-1)[place], batch.tokens.reshape(-1)[place]
    return rows, Fates(old, new, masked.runs(pieces))


def _swapped(objective: MaskedLM, rows: Rows, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """One token of each unit, as it was and as it is: independent draws."""
    fates = _fates(objective, rows, batch)[1]
    return fates.old[fates.first], fates.new[fates.first]


def _view(objective: MaskedLM, look: Callable[["Seen"], tuple]) -> Callable[[Rows, Batch], tuple]:
    return lambda rows, batch: look(Seen.of(rows, batch, objective.vocabulary))


@dataclasses.dataclass(frozen=True)
class Seen:
    """A batch as an outsider sees it: only what it says to be a target counts as selected."""

    before: Rows
    after: Batch
    pieces: Pieces
    selected: np.ndarray  # [B, T] bool

    @classmethod
    def of(cls, rows: Rows, batch: Batch, vocabulary: Vocabulary) -> "Seen":
        """Read `selected` off the picked positions of weight > 0."""
        selected = np.zeros(rows.tokens.shape, bool)
        row, slot = np.nonzero(batch.weights)
        selected[row, batch.picked[row, slot]] = True
        return cls(rows, batch, pieces_of(rows, vocabulary), selected)


def _strays(rows: Rows, seen: Seen) -> np.ndarray:
    return (seen.after.tokens != rows.tokens)[~seen.selected]


def _forbidden(rows: Rows, seen: Seen) -> np.ndarray:
    allowed = np.zeros(rows.tokens.shape, bool)
    allowed[rows.segments > 0] = seen.pieces.free
    return seen.selected[~allowed]


def _wrong(rows: Rows, seen: Seen) -> np.ndarray:
    """Targets that count and differ from the token that stood there, or are listed twice."""
    row, slot = np.nonzero(seen.after.weights)
    column = seen.after.picked[row, slot]
    wrong = seen.after.targets[row, slot] != rows.tokens[row, column]
    return np.append(wrong, len(row) != np.count_nonzero(seen.selected))


def fate_checks(vocabulary: Vocabulary) -> tuple[Check, ...]:
    """One fate for all tokens of a unit; measured between nothing of interest and `Fates`."""
    mask, number = vocabulary.mask, len(vocabulary.ordinary)

    def torn(_, fates: Fates) -> np.ndarray:
        masked = fates.new == mask
        return masked != masked[fates.first][fates.run]

    def kept(_, fates: Fates) -> np.ndarray:
        """(unchanged, all) later tokens of each unit whose first token was changed at random."""
        same = fates.new == fates.old
        random = (~same & (fates.new != mask))[fates.first]
        later = np.ones(len(fates.run), bool)
        later[fates.first] = False
        later &= random[fates.run]
        count = np.bincount(fates.run[later], minlength=len(random))
        part = np.bincount(fates.run[later & same], minlength=len(random))
        return np.stack([part, count], axis=1)[count > 0]

    return (
        Check("tokens masked unlike the rest of their unit", 0.0, torn, "exact"),
        Check(  # all words may be single tokens, as in Chinese
            "tokens kept in a unit replaced at random, by chance", 1 / number, kept, "rare", True
        ),
    )


def replacement_checks(replacement: Replacement, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """RatioEstimate between the chosen tokens as they were and as they are. [k] each."""
    number = len(vocabulary.ordinary)
    kept = 1 - replacement.mask - replacement.random + replacement.random / number
    shares = (replacement.mask, replacement.random * (1 - 1 / number), max(kept, 0.0))
    rank = np.full(vocabulary.size, -1)
    rank[vocabulary.ordinary] = np.arange(number)

    def split(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        masked, same = new == vocabulary.mask, new == old
        return np.array([masked.sum(), (~masked & ~same).sum(), same.sum()])

    def specials(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return vocabulary.special[new] & (new != vocabulary.mask)

    def places(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        moved = (new != old) & (rank[new] >= 0) & (rank[old] >= 0)
        place = rank[new[moved]] - (rank[new] > rank[old])[moved]  # among the other number - 1
        return np.bincount(place * cells // max(number - 1, 1), minlength=cells)

    cells = max(min(CELLS, number - 1), 1)
    edges = np.bincount(np.arange(number - 1) * cells // max(number - 1, 1), minlength=cells)
    uniform = tuple(float(edge) / max(number - 1, 1) for edge in edges)
    checks = (
        Check("masked, random and kept shares of the selected", shares, split, "shares"),
        Check("special tokens put in as random ones", 0.0, specials, "exact"),
    )
    if not replacement.random or number < 3:
        return checks
    return (*checks, Check("random tokens, uniform over the ordinary", uniform, places, "shares"))


@objective_checks.register
def replaced_token_detection(objective: ReplacedTokenDetection) -> tuple[Check, ...]:
    """Masked LM's, and those of what the generator draws with."""
    return (*masked_lm(objective), *electra_checks())


def electra_checks() -> tuple[Check, ...]:
    """Uniform, each its own, and the balance of tokens and targets."""
    return (
        Check("bits that tokens are drawn with, uniform", (1 / CELLS,) * CELLS, _cells, "shares"),
        Check("next bits above these, by chance", 0.5, _rising, "mean"),
        Check("tokens for each target, unlike in the batch", 0.0, _off_balance, "exact"),
    )


def _cells(rows: Rows, batch: Batch) -> np.ndarray:
    bits = batch.noise[batch.weights > 0]
    return np.bincount(bits >> np.uint32(27), minlength=CELLS)


def _rising(rows: Rows, batch: Batch) -> np.ndarray:
    """Of disjoint pairs of neighbouring targets; always false where the bits were copied."""
    first, second = batch.noise[:, 0:-1:2], batch.noise[:, 1::2]
    counts = (batch.weights[:, 0:-1:2] > 0) & (batch.weights[:, 1::2] > 0)
    return (second > first)[counts].astype(np.float64)


def _off_balance(rows: Rows, batch: Batch) -> np.ndarray:
    targets, tokens = np.count_nonzero(batch.weights), np.count_nonzero(rows.segments)
    return ~np.isclose(batch.balance * targets, tokens, rtol=1e-6)
