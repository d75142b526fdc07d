"""What a request costs with a teacher and with a student, and when distilling has paid."""

import pytest

from fxformer.errors import UserError
from fxformer.evaluate.savings import RequestSample, Savings, measure, read_texts
from fxformer.inference.load import load
from tests.hf.fixture import HERE


def sample(joules: float, seconds: float) -> RequestSample:
    shaken = (0.98, 1.0, 1.02)
    return RequestSample(
        "m", 10, *(tuple(x * s for s in shaken) for x in (joules, seconds)), "modelled"
    )


def test_the_break_even_is_where_savings_are_the_cost_of_distilling():
    found = Savings(sample(3.0, 0.4), sample(1.0, 0.1), distilling=500.0, requests=12)
    assert found.break_even == pytest.approx(250)
    mean, low, high = found.speedup
    assert mean == pytest.approx(4) and low <= 4 <= high
    assert Savings(sample(1, 1), sample(2, 1), 500.0, 12).break_even is None  # it saves nothing
    assert Savings(sample(3, 1), sample(1, 1), None, 12).break_even is None


class Clock:
    """A meter that counts a joule for each phase."""

    provenance = "counted"

    def __init__(self):
        self.joules = 0.0

    def own(self):
        return self

    def phase(self, name):
        import contextlib

        self.joules += 2.0
        return contextlib.nullcontext()


def test_each_model_reads_each_text_alone_in_turns():
    model = load(HERE / "bert")
    rows = []
    object.__setattr__(model, "rows", lambda texts: texts)
    object.__setattr__(model, "run_rows", lambda compute, some: rows.append(some))
    found = measure([model, model], ["a", "b"], 3, Clock())
    assert rows == [["a"], ["b"]] * 2 * 4  # one turn more, which compiles
    assert [len(one.joules) for one in found] == [3, 3]
    assert found[0].joules == (1.0, 1.0, 1.0) and found[0].parameters > 100


def test_texts_are_refused_where_there_are_none(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_texts(tmp_path / "no.txt")
    (tmp_path / "blank.txt").write_text("\n \n")
    with pytest.raises(UserError, match="one text a line"):
        read_texts(tmp_path / "blank.txt")
    (tmp_path / "two.txt").write_text("one\n\ntwo\n")
    assert read_texts(tmp_path / "two.txt") == ["one", "two"]
