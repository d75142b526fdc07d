"""The cache: whole or absent at every moment, whoever else writes it and however a writer ends."""

import os
from pathlib import Path

import numpy as np
import pytest

from fxformer.data import disk_cache, shards
from fxformer.data.shards import mapped


def whole(folder):
    return (folder / "a").is_file() and (folder / "b").is_file()


def fill(folder, content="mine"):
    for name in "ab":
        (folder / name).write_text(content)


def test_nobody_sees_a_half(tmp_path):
    def make(draft):
        (draft / "a").write_text("half")
        assert not (tmp_path / "key").exists()
        fill(draft)

    assert disk_cache.once(tmp_path / "key", make, whole) == tmp_path / "key"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    disk_cache.once(tmp_path / "key", lambda _: pytest.fail("made again"), whole)


def test_the_first_to_finish_wins(tmp_path):
    def make(draft):
        (tmp_path / "key").mkdir()
        fill(tmp_path / "key", "the other's")
        fill(draft)

    disk_cache.once(tmp_path / "key", make, whole)
    assert (tmp_path / "key" / "a").read_text() == "the other's"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("problem", [OSError("disk full"), ValueError("bad text")])
def test_a_failure_leaves_nothing_behind(tmp_path, problem):
    def make(draft):
        (draft / "a").write_text("half")
        raise problem

    with pytest.raises(type(problem), match=str(problem)):
        disk_cache.once(tmp_path / "key", make, whole)
    assert not list(tmp_path.iterdir())


def test_what_another_process_finishes_just_before_the_lock_is_not_made_again(
    tmp_path, monkeypatch
):
    def locked(handle, draft):
        (tmp_path / "key").mkdir()
        fill(tmp_path / "key", "the other's")

    monkeypatch.setattr(disk_cache, "_lock", locked)
    made = disk_cache.resumable(tmp_path / "key", lambda _: pytest.fail("made again"), whole)
    assert (made / "a").read_text() == "the other's"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_others_may_read_a_cache_that_they_share(tmp_path):
    """As the umask says; what `tempfile` makes is its owner's alone."""

    def make(draft):
        writer = shards.ShardWriter(draft, "x")
        writer.add([np.arange(3)])
        writer.close()
        shards.write_whole(draft / "card.json", b"{}")
        fill(draft)

    before = os.umask(0o022)
    try:
        once = disk_cache.once(tmp_path / "key", make, whole)
        resumed = disk_cache.resumable(tmp_path / "other", make, whole)
    finally:
        os.umask(before)
    for folder in (once, resumed):
        assert folder.stat().st_mode & 0o777 == 0o755
        files = list(folder.iterdir())
        assert len(files) == 5 and {path.stat().st_mode & 0o777 for path in files} == {0o644}


def test_a_file_that_is_cut_short_while_mapped_is_told_of(tmp_path):
    """Not SIGBUS, which ends the process without a word."""
    path = tmp_path / "train.ids"
    path.write_bytes(np.arange(100_000, dtype=np.int32).tobytes())
    ids = mapped(path)
    assert type(ids[3:5]) is np.ndarray and ids[7] == 7 and list(ids[[9, 8]]) == [9, 8]
    os.truncate(path, 10_000)
    for index in (3, slice(90_000, 90_002), np.array([99_999])):
        with pytest.raises(ValueError, match="train.ids was cut short by another program"):
            ids[index]


def test_a_deleted_file_is_still_mapped(tmp_path):
    path = tmp_path / "train.ids"
    path.write_bytes(np.arange(10, dtype=np.int32).tobytes())
    ids = mapped(path)
    path.unlink()
    assert ids[9] == 9


def test_what_a_killed_maker_left_is_swept(tmp_path):
    old, new = tmp_path / ".key.old", tmp_path / ".key.new"
    for draft in (old, new):
        draft.mkdir()
        (draft / "a").write_text("half")
    for path in (old / "a", old):
        os.utime(path, (0, 0))
    disk_cache.once(tmp_path / "key", fill, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".key.new", "key"]


def test_it_lies_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert disk_cache.default_folder() == Path("/somewhere/fxformer")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert disk_cache.default_folder() == Path.home() / ".cache" / "fxformer"
