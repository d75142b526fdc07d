"""Host values in a module: compared by content; counts from many threads add up."""

import concurrent.futures
import copy
import dataclasses
import pickle

from fxformer.objective.static_fields import Held, Tally


def test_held_values_compare_by_content(vocabulary):
    same = dataclasses.replace(vocabulary, special=vocabulary.special.copy())
    other = dataclasses.replace(vocabulary, special=~vocabulary.special)
    assert Held(vocabulary) == Held(same) and hash(Held(vocabulary)) == hash(Held(same))
    assert Held(vocabulary) != Held(other)
    assert Held(vocabulary) != Held(dataclasses.replace(vocabulary, mask=7))


def test_a_tally_adds_up_over_threads_and_is_equal_to_any_other():
    tally = Tally()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: tally.add("left out", 2), range(500)))
    tally.add("nothing", 0)
    assert tally.counts() == {"left out": 1000}
    assert tally == Tally() and hash(tally) == hash(Tally())
    assert copy.deepcopy(tally) is tally
    assert pickle.loads(pickle.dumps(tally)).counts() == {}
