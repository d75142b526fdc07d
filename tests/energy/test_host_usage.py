"""Names of processors as makers write them."""

import pytest

from fxformer.energy.host_usage import strip_marks


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", "Intel Xeon E5-2686 v4"),
        (" AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763 64-Core Processor"),
    ],
)
def test_marks_and_clock_are_stripped(raw, plain):
    assert strip_marks(raw) == plain
