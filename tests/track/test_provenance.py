"""Facts of the code and the machine."""

import subprocess

from fxformer.track.provenance import code, gather


def git(folder, *words):
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True,
        capture_output=True,
    )


def test_the_commit_and_whether_files_differ(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert code(package) == {"commit": None, "dirty": None}
    git(tmp_path, "init")
    assert code(package)["commit"] is None  # inside a repository that does not hold it
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "x")
    assert len(code(package)["commit"]) == 40 and code(package)["dirty"] is False
    (package / "__init__.py").write_text("1")
    assert code(package)["dirty"] is True


def test_everything_is_gathered(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    facts = gather()
    assert facts["allocator"] == "glibc.malloc.arena_max=1"
    assert facts["machine"]["threads"] >= 1 and facts["packages"]["numpy"] and facts["platform"]
