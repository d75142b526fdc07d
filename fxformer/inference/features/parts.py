"""Parts of a features file: one .npz for each chunk of rows, so that a killed command can go on."""

import dataclasses
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fxformer.errors import UserError

Arrays = Mapping[str, np.ndarray]
KEY = "key.json"


@dataclasses.dataclass(frozen=True)
class FeatureParts:
    """A folder of parts beside the file that they become.

    folder: NAME.parts
    key: what the features depend on: weights, rows, options
    """

    folder: Path
    key: Mapping[str, object]

    def open(self, resume: bool) -> int:
        """How many sound parts there are. UserError where they are of other features, or where
        there are some and `resume` is not asked for."""
        kept = self.folder / KEY
        if not self.path(0).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(self.key), "utf-8")
            return 0
        if not resume:
            raise UserError(
                f"{self.folder} has parts of an interrupted command: write --resume to go on with "
                "it, or delete the folder"
            )
        try:
            before = json.loads(kept.read_text("utf-8"))
        except (OSError, ValueError):
            before = None
        if before != json.loads(json.dumps(self.key)):
            raise UserError(
                f"{self.folder} has parts of another model, other data or other options: give "
                "those again, or delete the folder"
            )
        count = 0
        while self.sound(count):
            count += 1
        for path in self.folder.glob("*.npz"):
            if int(path.stem) >= count:
                path.unlink()
        return count

    def write(self, number: int, arrays: Arrays) -> None:
        """Write a part as a whole or not at all."""
        draft = self.folder / "draft"
        with draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.path(number))

    def sound(self, number: int) -> bool:
        """Whether a part is there and undamaged (CRC-32)."""
        try:
            with zipfile.ZipFile(self.path(number)) as opened:
                return opened.testzip() is None
        except (OSError, zipfile.BadZipFile):
            return False

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """The arrays of all parts, one part in memory at a time."""
        number = 0
        while self.path(number).exists():
            with np.load(self.path(number), allow_pickle=False) as opened:
                yield dict(opened)
            number += 1

    def rows(self, count: int) -> int:
        """Rows of the first `count` parts."""
        total = 0
        for number in range(count):
            with np.load(self.path(number), allow_pickle=False) as opened:
                total += len(opened["id"])
        return total

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"{number:06d}.npz"

    def delete(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
