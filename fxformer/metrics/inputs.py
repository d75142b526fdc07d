"""Checked inputs of metrics: logits, label ids, multi-hot labels, numbers, texts."""

from collections.abc import Sized
from typing import Any

import numpy as np

from fxformer.errors import UserError


def same_length(name: str, predictions: Sized, references: Sized) -> None:
    """UserError unless there are as many predictions as references."""
    if len(predictions) != len(references):
        raise UserError(
            f"{name}: {len(predictions)} predictions for {len(references)} references; each "
            "example needs one of both"
        )


def single_label(name: str, predictions: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 [N, C] and label ids int64 [N]. UserError for anything else."""
    logits = _logits(name, predictions)
    return logits, label_ids(name, references, logits)


def label_ids(name: str, references: Any, logits: np.ndarray) -> np.ndarray:
    """Label ids int64 [N], each below the number of classes of logits [N, C]. UserError else."""
    labels = np.asarray(references)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{name}: expected label ids, int [examples], got {_shape(labels)}{_instead(labels)}"
        )
    same_length(name, logits, labels)
    bad = np.flatnonzero((labels < 0) | (labels >= logits.shape[1]))
    if bad.size:
        raise UserError(
            f"{name}: the label of example {bad[0]} is {labels[bad[0]]}; the model has classes "
            f"0 … {logits.shape[1] - 1}"
        )
    return labels.astype(np.int64)


def multi_label(name: str, predictions: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 [N, C] and labels bool [N, C]. UserError for anything else."""
    logits, labels = _logits(name, predictions), np.asarray(references)
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise UserError(
            f"{name}: expected multi-hot labels of 0 and 1, [examples, classes], got "
            f"{_shape(labels)}"
        )
    same_length(name, logits, labels)
    if labels.shape != logits.shape:
        raise UserError(f"{name}: {logits.shape[1]} classes predicted, {labels.shape[1]} labelled")
    return logits, labels.astype(bool)


def predicted_class(logits: np.ndarray) -> np.ndarray:
    """Class with the largest logit, the first of equal ones; NaN where a logit is. float64 [N]."""
    return np.where(np.isnan(logits).any(axis=1), np.nan, logits.argmax(axis=1))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities, float64 [N, C], of logits [N, C]; a row does not depend on the others."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def numbers(name: str, predictions: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true numbers, float64 [N] each; predictions may be [N, 1]. UserError else."""
    given, wanted = np.asarray(predictions), np.asarray(references)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    for what, array in (("predictions", given), ("references", wanted)):
        if array.ndim != 1 or array.dtype.kind not in "iuf":
            raise UserError(f"{name}: expected {what} as numbers [examples], got {_shape(array)}")
    same_length(name, given, wanted)
    return given.astype(np.float64), wanted.astype(np.float64)


def texts(name: str, predictions: Any, references: Any) -> tuple[list[str], list[list[str]]]:
    """A text and a list of reference texts for each example; UserError for anything else."""
    given, wanted = list(predictions), list(references)
    same_length(name, given, wanted)
    for index, (one, some) in enumerate(zip(given, wanted, strict=True)):
        if not isinstance(one, str):
            raise UserError(f"{name}: the prediction of example {index} is no text: {one!r}")
        if isinstance(some, str) or not all(isinstance(text, str) for text in some):
            raise UserError(
                f"{name}: the references of example {index} must be a list of texts, got {some!r}"
            )
    return given, [list(some) for some in wanted]


def _logits(name: str, predictions: Any) -> np.ndarray:
    logits = np.asarray(predictions)
    if logits.ndim != 2 or logits.dtype.kind != "f" or not logits.shape[1]:
        raise UserError(f"{name}: expected logits, float [examples, classes], got {_shape(logits)}")
    return np.ascontiguousarray(logits, np.float64)


def _shape(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _instead(labels: np.ndarray) -> str:
    """What fits labels that are no ids."""
    if labels.ndim == 2:
        return "; for several labels of one example use the metric f1_micro_multilabel"
    return "; for numbers use the metric pearson" if labels.dtype.kind == "f" else ""
