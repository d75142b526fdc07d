"""The forecast of a step on many devices: its bytes, bandwidths, refusals and what is printed."""

import json

import pytest
from shell import DECODER, called

from fxformer.errors import UserError
from fxformer.plan.cluster import ClusterConfig
from fxformer.plan.communication import Traffic

SIZES = {"data": 2, "fsdp": 4, "tensor": 8}


@pytest.mark.parametrize(
    ("axes", "devices", "gigabytes"),
    [
        (("tensor",), 8, 450),  # within a machine
        (("fsdp",), 4, 50),  # one device of each machine: its own connection
        (("data", "fsdp"), 8, 50),
    ],
)
def test_a_ring_is_as_fast_as_its_slowest_connection(axes, devices, gigabytes):
    traffic = Traffic(axes, "gradients", "all-reduce", devices, 1e9)
    assert ClusterConfig().bandwidth(traffic, SIZES) == gigabytes * 1e9
    assert traffic.sent == 2 * (devices - 1) / devices * 1e9


def test_devices_of_a_machine_share_a_ring_that_leaves_it():
    traffic = Traffic(("data", "fsdp"), "gradients", "all-reduce", 64, 1e9)
    found = ClusterConfig(network=40).bandwidth(traffic, {"data": 1, "fsdp": 64, "tensor": 1})
    assert found == 8 * 40e9


def test_an_accelerator_that_is_not_in_the_table_is_refused():
    with pytest.raises(UserError, match=r"H2000 is not in the table.*H200"):
        ClusterConfig(accelerator="H2000")


def test_a_step_on_64_devices_is_printed_with_its_assumptions(tmp_path):
    words = (*DECODER, "data.batch=64", "mesh=fsdp", "mesh.min_size=1", "plan.compile=false")
    more = ("plan.cluster.devices=64", "mesh.tensor=2", "plan.json=plan.json")
    code, out, err = called("plan", *words, *more, folder=tmp_path)
    assert code == 0, err
    assert "a step on 64 devices" in out and "450 GB/s a device" in out
    one = json.loads((tmp_path / "plan.json").read_text())["runs"][0]["cluster"]
    assert one["mesh"] == {"data": 1, "fsdp": 32, "tensor": 2}
    assert one["seconds_per_step"] == pytest.approx(one["compute"] + one["exposed"])
    assert {each["kind"] for each in one["traffic"]} == {
        "all-reduce", "all-gather", "reduce-scatter",
    }  # fmt: skip
    code, _, err = called("plan", *words, *more, "mesh.tensor=4", folder=tmp_path)
    assert code == 2 and "4 does not divide the 2 heads" in err
