"""The table of what corruption costs."""

from benchmarks import corruption


def test_it_times_what_is_named(monkeypatch, capsys):
    monkeypatch.setattr(corruption, "words", lambda name: [name])
    monkeypatch.setattr(corruption, "timed", lambda argv: ((32, 512), 2.0))
    assert corruption.main(["mlm"]) == 0
    assert capsys.readouterr().out.split()[-7:] == "mlm 32 × 512 2.00 8.2 M".split()
    assert corruption.main(["nothing"]) == 2 and "mlm_roberta" in capsys.readouterr().out
