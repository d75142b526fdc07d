"""Checks of sentence pairs: classes, token types and negatives."""

from typing import cast

import numpy as np

from fxformer.batch import Batch, Labels, Pairs, Rows, Vocabulary
from fxformer.evaluate.audit.check import Check, once
from fxformer.evaluate.audit.checks.dispatch import objective_checks
from fxformer.evaluate.audit.checks.masked import masked_lm
from fxformer.objective.nsp import NextSentence
from fxformer.objective.pieces import pieces_of
from fxformer.objective.segments import counts_of, sums_before
from fxformer.objective.sentence_pairs import SentencePairLM
from fxformer.objective.sop import SentenceOrder


def roles(rows: Rows, vocabulary: Vocabulary) -> np.ndarray:
    """What each token of the rows is, before anything is done to it: 0 bos, 1 of A, 2 the eos
    between, 3 of B, 4 the last eos. [n] int64."""
    pieces = pieces_of(rows, vocabulary)
    ended = sums_before(pieces.tokens == vocabulary.eos, pieces.piece, pieces.count)
    mark = pieces.tokens == vocabulary.eos
    return np.where(pieces.ranks == 0, 0, 1 + 2 * ended + mark)


def unhidden(batch: Batch) -> np.ndarray:
    """The tokens of the batch with the targets in their places. [B, T]."""
    tokens = np.array(batch.tokens)
    row, slot = np.nonzero(batch.weights)
    tokens[row, batch.picked[row, slot]] = batch.targets[row, slot]
    return tokens


def wrong_tokens(rows: Rows, batch: Batch, vocabulary: Vocabulary) -> np.ndarray:
    """Tokens of the pieces whose label says they are wrong. [B, T] bool."""
    pieces = pieces_of(rows, vocabulary)
    first = np.zeros(rows.tokens.shape, bool)
    labels = cast(Labels, batch.labels)
    row, slot = np.nonzero((np.asarray(labels.weights) > 0) & (labels.classes == 1))
    first[row, labels.at[row, slot]] = True
    named = first[rows.segments > 0]
    whole = np.zeros(rows.tokens.shape, bool)
    whole[rows.segments > 0] = (counts_of(pieces.piece, pieces.count, named) > 0)[pieces.piece]
    return whole


def sentence_checks(vocabulary: Vocabulary, rate: float) -> tuple[Check, ...]:
    """Between rows [B, T] with pairs and a batch with types and labels."""

    def share(rows: Rows, batch: Batch) -> np.ndarray:
        labels = cast(Labels, batch.labels)
        return np.bincount(labels.classes[labels.weights > 0], minlength=2)

    def misplaced(rows: Rows, batch: Batch) -> np.ndarray:
        """First tokens and labels, each without its counterpart."""
        segments = np.asarray(rows.segments)
        first = segments > 0
        first[:, 1:] &= segments[:, 1:] != segments[:, :-1]
        named = np.zeros(segments.shape, np.int64)
        labels = cast(Labels, batch.labels)
        row, slot = np.nonzero(labels.weights)
        np.add.at(named, (row, labels.at[row, slot]), 1)
        return (named != first)[segments > 0]

    def types(rows: Rows, batch: Batch) -> np.ndarray:
        """The type of a token is the number of eos before it in its piece; 0 in padding."""
        right = np.zeros(rows.tokens.shape, np.int64)
        here = rows.segments > 0
        pieces = pieces_of(rows, vocabulary)
        ended = unhidden(batch)[here] == vocabulary.eos
        right[here] = sums_before(ended, pieces.piece, pieces.count)
        return (np.asarray(batch.types) != right).ravel()

    def borders(rows: Rows, batch: Batch) -> np.ndarray:
        return (np.asarray(batch.segments) != rows.segments).ravel()

    def weight(rows: Rows, batch: Batch) -> np.ndarray:
        """All labels together count as much as all targets, each like the others."""
        weights = np.asarray(cast(Labels, batch.labels).weights, np.float64)
        weights = weights[weights > 0]
        due = np.sum(batch.weights, dtype=np.float64) / max(len(weights), 1)
        return np.abs(weights - due) > 1e-4 * due

    return (
        Check("right and wrong pairs", (1 - rate, rate), share, "shares"),
        Check("pieces without one class at their first token", 0.0, misplaced, "exact"),
        Check("types other than 0 up to the first eos, 1 behind it", 0.0, types, "exact"),
        Check("borders of pieces moved", 0.0, borders, "exact"),
        Check("weights of the classes other than the targets'", 0.0, weight, "exact"),
    )


@objective_checks.register
def sentence_pair_lm(objective: SentencePairLM, own: tuple[Check, ...] = ()) -> tuple[Check, ...]:
    """Checks of labels and types, `own` checks of wrong pairs, and those of masked LM on the
    pairs as they are shown."""
    view = once(lambda rows, batch: (objective.shown(rows), batch))
    masked = (check.through(view) for check in masked_lm(objective))
    return (*sentence_checks(objective.vocabulary, objective.rate), *own, *masked)


@objective_checks.register
def next_sentence(objective: NextSentence) -> tuple[Check, ...]:
    """B is the negative where the class says so, which is from another document."""

    def other(rows: Rows, batch: Batch) -> np.ndarray:
        tokens, wrong = unhidden(batch), wrong_tokens(rows, batch, objective.vocabulary)
        negatives = cast(np.ndarray, cast(Pairs, rows.pairs).negatives)
        right = np.where(wrong, negatives, rows.tokens)
        return (tokens != right)[rows.segments > 0]

    def same(rows: Rows, batch: Batch) -> np.ndarray:
        text = np.zeros(rows.tokens.shape, bool)
        text[rows.segments > 0] = roles(rows, objective.vocabulary) == 3
        text &= wrong_tokens(rows, batch, objective.vocabulary)
        pairs = cast(Pairs, rows.pairs)
        return np.asarray(pairs.negative_documents == pairs.documents)[text]

    own = (
        Check("texts other than their class says", 0.0, other, "exact"),
        Check("wrong second texts from the same document", 0.0, same, "exact"),
    )
    return sentence_pair_lm(objective, own)


@objective_checks.register
def sentence_order(objective: SentenceOrder) -> tuple[Check, ...]:
    """The texts are those of the piece, in the order that the class says."""

    def disordered(rows: Rows, batch: Batch) -> np.ndarray:
        here = rows.segments > 0
        wrong = wrong_tokens(rows, batch, objective.vocabulary)[here]
        role = roles(rows, objective.vocabulary)
        order = np.where(wrong, np.array([0, 3, 2, 1, 4])[role], role)
        piece = np.cumsum(role == 0)
        right = rows.tokens[here][np.lexsort((order, piece))]
        return unhidden(batch)[here] != right

    order = Check("texts in another order than their class says", 0.0, disordered, "exact")
    return sentence_pair_lm(objective, (order,))
