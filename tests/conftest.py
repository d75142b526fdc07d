"""What all tests share: the CPU, a compilation cache, and where real data may lie."""

import gc
import os
import sys
from collections import defaultdict
from pathlib import Path

import absl.logging
import pytest
from skips import ListedSkips

from tests.compiling import compile_quickly
from tests.order import rank
from tests.process_state import resident_bytes, restore_process_state
from tests.sampling import one_in, tenth

# Tracing makes objects by the million, nearly all freed without the collector of cycles.
gc.set_threshold(50_000, 20, 20)

# Before anything imports jax. What the caller has set wins.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fxformer" / "tests"
for name, value in {
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": str(CACHE),  # a second run of the suite compiles little
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "FXFORMER_NO_TUNING": "1",  # no test is replaced by a fresh process of itself
}.items():
    os.environ.setdefault(name, value)
compile_quickly()

# Hydra configures logging anew, which closes the stream that absl's handler first saw unless it is
# one of the process's own; under pytest that would be the file that captures the output.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

try:
    from hypothesis import settings

    settings.register_profile("fxformer", deadline=None, derandomize=True)  # compiling is slow
    settings.load_profile("fxformer")
except ImportError:
    pass


MOST_RESIDENT = 3 << 30  # bytes; a worker would hold the programs of thousands of tests


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory():
    """Drop compiled programs after a file of tests where the process has become large. What they
    held goes back to the system: else the process would stay as large, and every later file would
    end with this and compile all programs anew."""
    yield
    if resident_bytes() > MOST_RESIDENT and "jax" in sys.modules:
        from fxformer.train.compile import return_free_memory

        sys.modules["jax"].clear_caches()
        gc.collect()
        return_free_memory()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown():
    yield
    restore_process_state()


def pytest_configure(config):
    if os.environ.get("FXFORMER_STRICT_SKIPS") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ListedSkips(), "listed-skips")


def pytest_addoption(parser):
    parser.addoption(
        "--slow-tenth", metavar="SEED", help="of the slow tests, only a tenth drawn with this seed"
    )


@pytest.hookimpl(tryfirst=True)  # before `-m` deselects
def pytest_collection_modifyitems(config, items):
    cases = defaultdict(list)
    for item in items:
        mark = item.get_closest_marker("sample")
        if mark and not item.get_closest_marker("slow"):
            cases[item.nodeid.partition("[")[0], *mark.args].append(item)
    for (_, share), some in cases.items():
        quick = one_in(share, [item.nodeid for item in some])
        for item in some:
            if item.nodeid not in quick:
                item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: rank(item.nodeid))
    seed = config.getoption("--slow-tenth")
    if seed is None:
        return
    slow = [item.nodeid for item in items if item.get_closest_marker("slow")]
    dropped = set(slow) - tenth(slow, seed)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in dropped])
    items[:] = [item for item in items if item.nodeid not in dropped]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of third-party data that some checks want; they skip where there is none."""
    place = os.environ.get("FXFORMER_DATA")
    if not place:
        pytest.skip("FXFORMER_DATA is not set: no real data here")
    if not Path(place).is_dir():
        pytest.skip(f"FXFORMER_DATA={place} is no folder")
    return Path(place)
