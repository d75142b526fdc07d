"""Design powers of processors, and whose figures they are."""

import csv

from fxformer.energy.tdp import CPU_TDP, WATTS_PER_THREAD, cpu_watts_per_thread


def test_a_processor_is_found_and_what_is_not_says_so():
    assert cpu_watts_per_thread("AMD EPYC 7763 64-Core Processor")[0] == 280 / 128
    assert cpu_watts_per_thread("Apple M2 Ultra")[0] == 105 / 24
    watts, statement = cpu_watts_per_thread("Fnord 3000")
    assert watts == WATTS_PER_THREAD and "Fnord 3000 is not in the table" in statement


def test_watts_of_a_thread_are_those_of_a_thread():
    """A wrong number of threads would stand out: 1 to 8 W each, and the fallback in the middle."""
    each = sorted(watts / threads for watts, threads in CPU_TDP.values())
    assert each[0] > 1 and each[-1] < 8
    assert each[len(each) // 2 - 5] <= WATTS_PER_THREAD <= each[len(each) // 2 + 5]


def test_watts_are_those_codecarbon_has_collected(real_data):
    with open(real_data / "codecarbon" / "cpu_power.csv", encoding="utf-8") as file:
        rows = {row["Name"]: row["TDP"] for row in csv.DictReader(file)}
    theirs = {name: float(rows[name]) for name in CPU_TDP}
    assert theirs == {name: watts for name, (watts, _) in CPU_TDP.items()}
