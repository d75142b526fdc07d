"""Facts of accelerators: found by name, plausible, with a source."""

import dataclasses

import jax
import pytest

from fxformer.energy.accelerators import accelerator_watts, accelerators, find_accelerator
from fxformer.flops import peak
from fxformer.flops.peak import measured, peak_flops


@pytest.mark.parametrize(("name", "watts"), [
    ("NVIDIA H100 80GB HBM3", 700), ("NVIDIA H100 PCIe", 350), ("NVIDIA L40S", 350),
    ("NVIDIA L40", 300), ("NVIDIA L4", 72), ("Tesla T4", 70), ("NVIDIA A100-SXM4-40GB", 400),
    ("TPU v3", 450), ("NVIDIA GB200", 1200), ("NVIDIA A10", 150), ("NVIDIA H200", 700),
])  # fmt: skip
def test_an_accelerator_is_found_by_whole_words(name, watts):
    assert accelerator_watts(name)[0] == watts


def test_what_is_not_in_the_table_says_so():
    assert "of Fnord Accelerator in the table" in accelerator_watts("Fnord Accelerator")[1]
    assert "no design power of TPU v6e" in accelerator_watts("TPU v6e")[1]
    assert find_accelerator("NVIDIA A100X") is None


def test_every_fact_has_a_source_and_is_plausible():
    for one in accelerators().values():
        assert one.source and (one.watts is None or 50 <= one.watts <= 1500), one
        if one.half_tflops is not None:
            assert 8 <= one.single_tflops <= one.half_tflops <= 5000, one
            assert one.watts is None or 0.1 < one.half_tflops / one.watts < 5, one  # TFLOP/s a watt
    unchecked = [one.name for one in accelerators().values() if not one.checked_at]
    assert len(unchecked) < len(accelerators()) / 2


@dataclasses.dataclass
class Device:
    device_kind: str
    platform: str = "gpu"


def test_peaks_of_devices():
    assert peak_flops(Device("NVIDIA H100 80GB HBM3"), "bfloat16")[0] == 989e12
    assert peak_flops(Device("NVIDIA H100 80GB HBM3"), "float32")[0] == 494e12
    assert peak_flops(Device("TPU v5 lite", "tpu"), "bfloat16")[0] == 197e12
    assert peak_flops(Device("an unheard-of chip"), "float32") is None
    assert peak_flops(Device("NVIDIA RTX 5090"), "float32") is None  # its power is known, no peak
    assert peak_flops(jax.devices("cpu")[0], "float32")[0] == measured()


def test_a_processor_is_measured_once_and_again_if_it_was_busy(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found, loads = iter([5e10, 8e10, 1e10]), [9.0 * peak.cores()]
    monkeypatch.setattr(peak, "_best", lambda: next(found))
    monkeypatch.setattr("os.getloadavg", lambda: (loads[-1], 0, 0))

    def anew():
        measured.cache_clear()
        return measured()

    assert (measured.cache_clear(), measured(), measured())[1:] == (5e10, 5e10)
    loads.append(0.0)
    assert anew() == 8e10  # a busy machine's figure is not believed for good
    assert anew() == anew() == 8e10 and next(found) == 1e10  # a quiet one's is
    monkeypatch.setattr(peak, "_file", lambda: tmp_path / "peak.json" / "no folder")
    monkeypatch.setattr(peak, "_best", lambda: 7e10)
    assert anew() == 7e10
    measured.cache_clear()
