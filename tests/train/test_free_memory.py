"""Memory that was freed goes back to the system."""

import ctypes
import sys

import numpy as np
import pytest

from fxformer.train.compile import return_free_memory
from tests.process_state import resident_bytes

BLOCKS, SIZE = 4_000, 100_000  # bytes below glibc's threshold for mappings of their own


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_what_was_freed_is_no_longer_resident():
    blocks = [np.ones(SIZE, np.uint8) for _ in range(BLOCKS)]
    kept = blocks[-1]  # the heap cannot shrink below it by itself
    del blocks
    before = resident_bytes()
    return_free_memory()
    assert before - resident_bytes() > BLOCKS * SIZE // 2, sys.version
    assert kept.sum() == SIZE
