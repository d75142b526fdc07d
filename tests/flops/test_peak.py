"""The measured peak of a processor."""

from types import SimpleNamespace

from fxformer.flops import peak


def test_jumps_of_the_clock_are_no_speed(monkeypatch):
    """Two products seem to take no time: the clock of a virtual machine was set back."""
    products, now = iter([1e-9, 0.02, 0.01, 1e-9, *[0.01] * 8]), [0.0]
    readings = []

    def clock() -> float:
        if len(readings) % 2:
            now[0] += next(products)
        readings.append(None)
        return now[0]

    # of this module alone: other threads read the clock too
    monkeypatch.setattr(peak, "time", SimpleNamespace(perf_counter=clock))
    assert abs(peak._best() * 0.01 / (2 * peak.SIZE**3) - 1) < 1e-6
