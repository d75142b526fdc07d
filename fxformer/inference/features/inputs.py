"""Rows of labelled or plain data as model inputs: text, pair, words, or question and context."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from fxformer.batch import Batch
from fxformer.data.labelled.rows import Row, missing
from fxformer.errors import UserError
from fxformer.inference.model import Model
from fxformer.inference.pipelines.inputs import readable, templates, tokenizer_of
from fxformer.task.text_template import fit_pair


@dataclasses.dataclass(frozen=True)
class FeatureInput:
    """A row as a model input.

    row: [1, t], not padded
    id: of the row: its column "id", else file and line
    label: of the row, as text; None: it has none
    cut: tokens that did not fit
    """

    row: Batch
    id: str
    label: str | None
    cut: int = 0


def feature_inputs(model: Model, rows: Iterator[Row], length: int | None) -> Iterator[FeatureInput]:
    """The input of each row. length: of an input at most; None: as the model reads."""
    made, tokenizer = templates(model), tokenizer_of(model)
    known = [one for one in (length, model.max_tokens) if one is not None]
    most = min(known, default=None)
    for row in rows:
        first, second = texts_of(row)
        ids = tokenizer.encode(first)
        pair = None if second is None else tokenizer.encode(second)
        if not len(ids) or (pair is not None and not len(pair)):
            raise UserError(f"{row.where}: the text has no tokens: {first!r:.60}")
        total = len(ids) + (0 if pair is None else len(pair))
        room = total if most is None else made.room(most, pair is not None)
        if room < 1 + (pair is not None):
            raise UserError(f"--length {most} leaves no room for text between the special tokens")
        if pair is None:
            ids = ids[:room]
        else:
            keep = fit_pair(len(ids), len(pair), room)
            ids, pair = ids[: keep[0]], pair[: keep[1]]
        kept = len(ids) + (0 if pair is None else len(pair))
        batch = made.single(ids) if pair is None else made.pair(ids, pair)
        yield FeatureInput(readable(model, batch), id_of(row), label_of(row), total - kept)


def texts_of(row: Row) -> tuple[str, str | None]:
    """The text that is read of a row, and the second one of a pair."""
    if row.get("question") is not None and row.get("context") is not None:
        return row.value("question"), row.value("context")
    if row.get("words") is not None:
        return " ".join(row.value("words")), None
    if row.get("text") is None and row.get("source") is not None:
        return row.value("source"), None
    if row.get("text") is None:
        raise UserError(missing("text", list(row.values), row.where))
    return row.value("text"), row.get("pair")


def id_of(row: Row) -> str:
    """The value of the column "id"; without one, file and line."""
    found = row.get("id")
    return row.where if found is None else str(found)


def label_of(row: Row) -> str | None:
    """The label of a row as text: a name or number; several, or those of words, with spaces."""
    found: Any = row.get("label")
    found = row.get("labels") if found is None else found
    if found is None:
        return None
    return " ".join(map(str, found)) if isinstance(found, list | np.ndarray) else str(found)
