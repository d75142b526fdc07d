"""RAPL read from a fake sysfs."""

import os

import pytest

from fxformer.energy.rapl import RAPL
from fxformer.energy.sensor import UnreadableError
from fxformer.energy.shared_counter import SharedCounter


def zone(root, name, kind, value, wraps_at=262143328850):
    folder = root / name
    folder.mkdir()
    for file, text in [("name", kind), ("energy_uj", value), ("max_energy_range_uj", wraps_at)]:
        (folder / file).write_text(f"{text}\n")
    return folder / "energy_uj"


def open_rapl(root):
    """The zones' counter, read by this process alone."""
    return SharedCounter(RAPL(sigma=0.05, every=0, root=root), {}, folder=None)


def test_packages_and_dram_are_summed_and_nothing_twice(tmp_path):
    files = [
        zone(tmp_path, "intel-rapl:0", "package-0", 0),
        zone(tmp_path, "intel-rapl:0:0", "core", 0),
        zone(tmp_path, "intel-rapl:0:1", "dram", 0),
        zone(tmp_path, "intel-rapl:1", "package-1", 0),
        zone(tmp_path, "intel-rapl:2", "psys", 0),
        zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0),
    ]
    rapl = open_rapl(tmp_path)
    for file in files:
        file.write_text("5000000\n")
    assert {r.device: r.joules for r in rapl.read()} == {"cpu": 10, "ram": 5}


def test_a_counter_that_wraps_is_corrected_and_one_that_steps_back_is_not(tmp_path):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 200_000_000_000)
    rapl = open_rapl(tmp_path)
    file.write_text("199999999999")
    assert rapl.read()[0].joules == 0 and "cannot be right" in str(rapl.problems[0])
    file.write_text(f"{262143328850 - 10_000_000}")
    rapl.read()
    file.write_text("5000000")
    assert rapl.read()[0].joules == pytest.approx(15)
    file.write_text("")  # as some kernels return now and then
    rapl.read()
    file.write_text("6000000")
    assert rapl.read()[0].joules == pytest.approx(16)


def test_nothing_to_read_says_what_would_help(tmp_path):
    with pytest.raises(UnreadableError, match="intel_rapl driver"):
        RAPL(sigma=0.05, every=0, root=tmp_path)


def test_no_permission_gives_the_command(tmp_path, monkeypatch):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    file.chmod(0)
    if os.access(file, os.R_OK):  # root reads everything

        def refuse(path):
            raise PermissionError(13, "denied", str(path))

        monkeypatch.setattr("fxformer.energy.rapl._number", refuse)
    with pytest.raises(UnreadableError, match="sudo chmod"):
        RAPL(sigma=0.05, every=0, root=tmp_path)


def test_a_counter_that_goes_away_raises(tmp_path):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    rapl = RAPL(sigma=0.05, every=0, root=tmp_path)
    file.unlink()
    with pytest.raises(OSError):
        rapl.raw()
