"""The cache: whole or absent at every moment, whoever else writes it and however a writer ends."""

from pathlib import Path

import pytest

from fxformer.data import store


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

    assert store.once(tmp_path / "key", make, whole) == tmp_path / "key"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    store.once(tmp_path / "key", lambda _: pytest.fail("made again"), whole)


def test_the_first_to_finish_wins(tmp_path):
    def make(draft):
        (tmp_path / "key").mkdir()
        fill(tmp_path / "key", "the other's")
        fill(draft)

    store.once(tmp_path / "key", make, whole)
    assert (tmp_path / "key" / "a").read_text() == "the other's"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("problem", [OSError("disk full"), ValueError("bad text")])
def test_a_failure_leaves_nothing_behind(tmp_path, problem):
    def make(draft):
        (draft / "a").write_text("half")
        raise problem

    with pytest.raises(type(problem), match=str(problem)):
        store.once(tmp_path / "key", make, whole)
    assert not list(tmp_path.iterdir())


def test_it_lies_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert store.default_folder() == Path("/somewhere/fxformer")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert store.default_folder() == Path.home() / ".cache" / "fxformer"
