"""`python -m benchmarks NAME`: the list of benchmarks, and a name that is none."""

import pytest

from benchmarks.__main__ import NAMES, main, summary


def test_every_benchmark_says_what_it_measures(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    main()
    said = capsys.readouterr().out
    assert all(name in said and len(summary(name)) > 20 for name in NAMES)


def test_a_name_that_is_none_gets_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "generat"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "did you mean generate?" in capsys.readouterr().err
