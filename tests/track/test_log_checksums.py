"""Log checksums: appended lines keep them valid, any other change does not."""

import pytest

from fxformer.track.log_checksums import LOGS, LogChecksums, damage

LINES = b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25}\n'


@pytest.fixture
def marked(tmp_path):
    for name in LOGS:
        (tmp_path / name).write_bytes(LINES)
    return tmp_path, LogChecksums(tmp_path).take()


def test_a_log_that_grew_is_as_it_was(marked):
    folder, marks = marked
    assert damage(folder, marks) == [] and set(marks) == set(LOGS)
    for name in LOGS:
        with (folder / name).open("ab") as file:
            file.write(LINES + b'{"torn')
    assert damage(folder, marks) == []


def test_marks_taken_again_read_what_is_new_only_and_are_the_same(marked):
    folder, _ = marked
    checksums = LogChecksums(folder)
    checksums.take()
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(LINES)
    assert checksums.take() == LogChecksums(folder).take()


@pytest.mark.parametrize("name", LOGS)
def test_every_flipped_bit_is_noticed(marked, name):
    folder, marks = marked
    for at in range(8 * len(LINES)):
        bad = bytearray(LINES)
        bad[at // 8] ^= 1 << at % 8
        (folder / name).write_bytes(bad)
        assert damage(folder, marks) == [f"{name} was changed within its first 51 bytes"]


@pytest.mark.parametrize("name", LOGS)
def test_a_deleted_log_and_a_deleted_line_are_noticed(marked, name):
    folder, marks = marked
    (folder / name).write_bytes(LINES[25:])
    assert damage(folder, marks) == [f"{name} has lost lines: it had 51 bytes and has 26"]
    (folder / name).write_bytes(LINES[25:] + LINES)
    assert "was changed" in damage(folder, marks)[0]
    (folder / name).unlink()
    assert damage(folder, marks) == [f"{name} was deleted: it had 51 bytes"]


def test_what_was_not_there_is_not_missed(tmp_path):
    assert LogChecksums(tmp_path).take() == {} == dict.fromkeys(damage(tmp_path, {}))
