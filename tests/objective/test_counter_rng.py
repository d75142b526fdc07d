"""CounterRNG: uniform, independent of each other, and a function of where they are made for."""

import numpy as np
from scipy import stats

from fxformer.objective.counter_rng import CounterRNG, mix

ALARM = 1e-6
MANY = np.arange(120_000)


def test_uniform_on_the_unit_interval():
    draws = CounterRNG.of(0, 0, MANY).uniform("a")
    assert draws.min() >= 0 and draws.max() < 1
    assert stats.kstest(draws, "uniform").pvalue > ALARM


def test_uniform_over_the_positions_of_one_example():
    draws = CounterRNG.of(3, 1, np.zeros(1, np.int64)).uniform("a", MANY)
    assert stats.kstest(draws, "uniform").pvalue > ALARM


def test_neighbours_in_every_coordinate_are_independent():
    base = CounterRNG.of(0, 0, MANY).uniform("a")
    others = {
        "example": CounterRNG.of(0, 0, MANY + 1).uniform("a"),
        "epoch": CounterRNG.of(0, 1, MANY).uniform("a"),
        "seed": CounterRNG.of(1, 0, MANY).uniform("a"),
        "stream": CounterRNG.of(0, 0, MANY).uniform("b"),
        "position": CounterRNG.of(0, 0, MANY).uniform("a", 1),
        "within": CounterRNG.of(0, 0, MANY).within("x").uniform("a"),
        "swapped": CounterRNG.of(0, 0, np.zeros_like(MANY)).uniform("a", MANY),
    }
    for name, other in others.items():
        cells = np.histogram2d(base, other, bins=16, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(cells.ravel()).pvalue > ALARM, name


def test_every_bit_is_fair_and_depends_on_every_coordinate():
    bits = CounterRNG.of(0, 0, MANY).bits("a")
    ones = np.array([np.count_nonzero(bits >> np.uint64(b) & np.uint64(1)) for b in range(64)])
    assert (np.abs(ones - len(MANY) / 2) < 6 * np.sqrt(len(MANY)) / 2).all()
    flipped = np.bitwise_count(bits ^ CounterRNG.of(0, 0, MANY + 1).bits("a"))
    assert abs(flipped.mean() - 32) < 6 * 4 / np.sqrt(len(MANY))


def test_mix_is_a_bijection_on_a_sample():
    assert len(np.unique(mix(np.arange(100_000)))) == 100_000


def test_below_is_uniform_and_takes_a_bound_for_each():
    draws = CounterRNG.of(0, 0, MANY)
    assert stats.chisquare(np.bincount(draws.below("a", 37), minlength=37)).pvalue > ALARM
    bounds = MANY % 5
    assert (draws.below("a", bounds)[bounds > 0] < bounds[bounds > 0]).all()
    assert (draws.below("a", bounds)[bounds == 0] == 0).all()


def test_poisson_with_its_zeros():
    for mean in (0.5, 3.0, 40.0):
        counts = np.bincount(CounterRNG.of(0, 0, MANY).poisson("a", mean))
        top = int(stats.poisson.isf(1e-3, mean))
        nominal = np.append(
            stats.poisson.pmf(np.arange(top), mean), stats.poisson.sf(top - 1, mean)
        )
        seen = np.append(counts[:top], counts[top:].sum())
        assert stats.chisquare(seen, nominal / nominal.sum() * len(MANY)).pvalue > ALARM


def test_geometric():
    counts = np.bincount(CounterRNG.of(0, 0, MANY).geometric("a", 0.2), minlength=40)
    nominal = stats.geom.pmf(np.arange(1, 30), 0.2)
    seen = np.append(counts[1:30], counts[30:].sum())
    assert counts[0] == 0
    nominal = np.append(nominal, 1 - nominal.sum())
    assert stats.chisquare(seen, nominal * len(MANY)).pvalue > ALARM
    assert (CounterRNG.of(0, 0, MANY[:9]).geometric("a", 1.0) == 1).all()


def test_the_same_bits_everywhere():
    """Pinned: a change of these numbers changes every corruption ever drawn."""
    first = CounterRNG.of(1, 2, np.array([3])).bits("select", 4)
    assert first.dtype == np.uint64
    whole = CounterRNG.of(1, 2, np.arange(10)).bits("select", np.arange(10)[:, None])
    assert whole[4, 3] == first[0]
    assert int(first[0]) == PINNED


PINNED = 9847535015900478385
