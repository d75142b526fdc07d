"""Rows of a Hugging Face dataset, from the hub or from disk, with the names of its classes."""

from collections.abc import Callable, Iterator
from typing import Any

from fxformer.data.huggingface import load_dataset
from fxformer.data.labelled.readers import SourceRecord


def records(path: str, name: str | None, revision: str | None) -> Iterator[SourceRecord]:
    """Records of all splits. Class numbers become the names that the dataset has for them, and -1,
    which stands for an unknown class, becomes None. Needs datasets.

    path: name on the hub, or a folder (written by `save_to_disk`, or of data files)
    name: configuration, where there are several; revision: branch, tag or commit
    """
    for split, rows in _splits(path, name, revision).items():
        turn = _names(rows.features)
        for number, record in enumerate(rows, 1):
            place = "row" if split is None else f"{split} row"
            yield SourceRecord(turn(record), f"{path}, {place} {number}", split)


def fingerprint(path: str, name: str | None, revision: str | None) -> str:
    """A key that changes with the contents of the dataset."""
    found = _splits(path, name, revision)
    return " ".join(f"{split} {rows._fingerprint}" for split, rows in found.items())


def _splits(path: str, name: str | None, revision: str | None) -> dict[str | None, Any]:
    """Datasets by split; None: the dataset has none."""
    found = load_dataset(path, name, revision=revision)
    return dict(found) if isinstance(found, dict) else {None: found}


def _names(features: Any) -> Callable[[Any], Any]:
    """Function that writes names for class numbers in a value of these datasets features."""
    import datasets

    if isinstance(features, datasets.ClassLabel):
        return lambda value: features.int2str(value) if value is not None and value >= 0 else None
    if hasattr(features, "feature"):  # List, LargeList, Sequence
        inner = _names(features.feature)
        return lambda some: None if some is None else _each(some, inner)
    if isinstance(features, dict):
        turns = {name: _names(one) for name, one in features.items()}
        return lambda record: None if record is None else {
            name: turns[name](value) for name, value in record.items()
        }  # fmt: skip
    return lambda value: value


def _each(some: Any, turn: Callable[[Any], Any]) -> Any:
    """The values of a list; datasets turns a list of objects into an object of lists."""
    if isinstance(some, dict):
        return turn(some)
    return [turn(one) for one in some]
