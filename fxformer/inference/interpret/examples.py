"""Rows whose loss says how well a model does on texts: targets by architecture, or classes."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.interpret.head_importance import ClassLoss, ExampleLoss
from fxformer.inference.model_core import ModelCore
from fxformer.inference.scoring import causal_requests, conditional_requests
from fxformer.inference.text_encoding import Texts
from fxformer.objective.infilling import ScoringRequest, scoring_batch

MASKED = 0.15  # share of an encoder's tokens that are masked at once


@dataclasses.dataclass(frozen=True)
class LossRows:
    """One row [1, t] for each text, and the loss of a row."""

    rows: list[Batch]
    loss: ExampleLoss | ClassLoss
    width: int


def loss_rows(
    model: ModelCore,
    texts: Texts,
    targets: Texts | None,
    labels: Sequence[int] | None,
    seed: int,
) -> LossRows:
    """Rows with what `Model.head_importance` says is predicted. UserError where nothing is."""
    if labels is not None:
        return _labelled(model, texts, targets, labels)
    model.check_head()
    requests = _requests(model, texts, targets, seed)
    rows = [scoring_batch([one], model.vocabulary.pad, round_to=1) for one in requests]
    return LossRows(rows, ExampleLoss(), model.module.vocab)


def _requests(
    model: ModelCore, texts: Texts, targets: Texts | None, seed: int
) -> list[ScoringRequest]:
    if model.architecture == "seq2seq":
        if targets is None:
            raise UserError("the loss of an encoder-decoder needs targets=, its decoder's texts")
        pairs = zip(model.encode(texts), model.encode_targets(texts, targets), strict=True)
        return [conditional_requests(*pair, model.start_id)[0] for pair in pairs]
    if targets is not None:
        raise UserError(f"{model.name} is no encoder-decoder: leave out targets")
    ids = model.encode(texts)
    if model.architecture == "encoder":
        return [masked_request(model, one, seed, number) for number, one in enumerate(ids)]
    found = [causal_requests(one) for one in ids]
    for number, one in enumerate(found):
        if not one:
            raise UserError(f"texts[{number}] has one token, so a decoder predicts none of it")
    return [one for (one,) in found]


def masked_request(model: ModelCore, ids: np.ndarray, seed: int, number: int) -> ScoringRequest:
    """A text with MASKED of its ordinary tokens, at least one, masked at once.

    Which ones is a function of seed and number. UserError without a mask token or any token.
    """
    vocabulary = model.vocabulary
    if vocabulary.mask is None:
        raise UserError(f"{model.name} has no mask token, which the loss of an encoder needs")
    ordinary = np.flatnonzero(~vocabulary.special[ids])
    if not len(ordinary):
        raise UserError(f"texts[{number}] has special tokens only, so there is nothing to mask")
    count = max(1, round(MASKED * len(ordinary)))
    rng = np.random.default_rng([seed, number])
    chosen = np.sort(rng.choice(ordinary, count, replace=False))
    tokens = ids.copy()
    tokens[chosen] = vocabulary.mask
    return ScoringRequest(tokens, ids, chosen)


def _labelled(
    model: ModelCore, texts: Texts, targets: Texts | None, labels: Sequence[int]
) -> LossRows:
    rows = model.rows(texts, targets)
    heads = {
        name: head for name, head in model.module.task_heads.items() if name == "classification"
    }
    if not heads:
        raise UserError(f"{model.name} has no classification head: leave out labels")
    if len(labels) != len(rows):
        raise UserError(f"{len(rows)} texts and {len(labels)} labels: give one for each text")
    classes = heads["classification"].output.kernel.shape[-1]
    for number, label in enumerate(labels):
        if not 0 <= int(label) < classes:
            raise UserError(f"labels[{number}]: expected a class from 0 to {classes - 1}: {label}")
    rows = [
        row.replace(
            targets=np.full((1, 1), label, np.int32),
            weights=np.ones((1, 1), np.float32),
            picked=np.zeros((1, 1), np.int32),
        )
        for row, label in zip(rows, labels, strict=True)
    ]
    return LossRows(rows, ClassLoss("classification"), classes)
