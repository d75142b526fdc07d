"""Pieces of arrays in checkpoints, and the rows that each process makes of a batch."""

import numpy as np
import pytest

from fxformer.data.loader import InOrder, Shuffled
from fxformer.train import checkpoint_files
from fxformer.train.checkpoint_files import DamagedCheckpoint
from fxformer.train.checkpoint_pieces import StoredPieces, file_of, piece_name


@pytest.fixture
def stored(tmp_path):
    """A checkpoint of two processes: an array cut in four, a whole one, one cut in two."""
    grid = np.arange(48, dtype=np.float32).reshape(6, 8)
    parts = {}
    for process in range(2):
        arrays = {"vector[0:3]": np.arange(3)} if process == 0 else {"vector[3:7]": np.arange(3, 7)}
        if process == 0:
            arrays["whole"] = np.float32(2.5)
        rows = slice(3 * process, 3 * process + 3)
        for columns in (slice(0, 5), slice(5, 8)):
            name = piece_name("grid", (rows, columns), grid.shape)
            arrays[name] = grid[rows, columns].copy()
        arrays = {name: np.asarray(one) for name, one in arrays.items()}
        parts[file_of(process)] = checkpoint_files.write_tensors(
            tmp_path / file_of(process), arrays
        )
    shapes = {"grid": [6, 8], "vector": [7], "whole": []}
    return tmp_path, grid, {"sums": parts.pop(file_of(0)), "parts": parts, "shapes": shapes}


def test_arrays_are_put_together_from_the_pieces_of_all_files(stored):
    folder, grid, body = stored
    pieces = StoredPieces(folder, body)
    whole = pieces.whole()
    np.testing.assert_array_equal(whole["grid"], grid)
    np.testing.assert_array_equal(whole["vector"], np.arange(7))
    assert whole["whole"] == 2.5
    np.testing.assert_array_equal(pieces.take("grid", (slice(1, 5), slice(4, 8))), grid[1:5, 4:8])


def test_a_piece_that_is_missing_or_changed_is_noticed(stored):
    folder, _, body = stored
    with pytest.raises(DamagedCheckpoint, match="is in no file"):
        StoredPieces(folder, {**body, "parts": {}}).whole()
    path = folder / file_of(1)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DamagedCheckpoint, match="has changed since"):
        StoredPieces(folder, body)
    held = {"vector": [[(0, 3)]]}  # of process 0's file: the damage is no concern of this process
    assert StoredPieces(folder, body, held).take("vector", (slice(0, 3),)).tolist() == [0, 1, 2]


def test_names_of_files_and_places_of_pieces_are_not_trusted(stored, tmp_path):
    folder, _, body = stored
    for name in ("../state-1.safetensors", "/state.safetensors", "state-1.safetensors/."):
        with pytest.raises(DamagedCheckpoint, match="is no name of a file of arrays"):
            StoredPieces(folder, {**body, "parts": {name: {}}})
    for shape in ([3, 8], [6, 7], [48], []):
        with pytest.raises(DamagedCheckpoint, match=r"grid\[.* is no part of"):
            StoredPieces(folder, {**body, "shapes": {**body["shapes"], "grid": shape}})


def test_the_name_of_a_whole_array_is_its_path():
    assert piece_name("a/b", (slice(None), slice(0, 4)), (3, 4)) == "a/b"
    assert piece_name("a/b", (slice(0, 2), slice(None)), (3, 4)) == "a/b[0:2,0:4]"


class Numbered:
    """Packed rows that say their number, the seed and the epoch."""

    def __len__(self):
        return 21

    def facts(self):
        return {"row_length": 1}

    def rows(self, which, seed=0, epoch=0):
        return [(int(n), seed, epoch) for n in which]


def test_rows_of_each_process_are_those_of_the_whole_batch():
    for make in (
        lambda own: Shuffled(Numbered(), 8, 3, own),
        lambda own: InOrder(Numbered(), 8, own),
    ):
        whole = make(None)
        for n in range(whole.steps_per_epoch):
            for processes in (1, 2, 4, 8):
                parts = np.split(np.arange(8), processes)
                assert [row for own in parts for row in make(own)[n]] == whole[n]
