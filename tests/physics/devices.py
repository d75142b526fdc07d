"""Two real steps on 1, 2 and 8 devices in several layouts, compared; run with 8 CPU devices."""

import sys

import jax

from tests.physics.steps import after_two_steps, equal

LAYOUTS = {
    "data 2": ("mesh=data", "mesh.data=2"),
    "data 8": ("mesh=data",),
    "data 8, 2 micro-batches": ("mesh=data", "trainer.accumulate=2"),
    "fsdp 8": ("mesh=fsdp", "mesh.min_size=64"),
    "data 2, fsdp 4": ("mesh=fsdp", "mesh.data=2", "mesh.min_size=64"),
}

if __name__ == "__main__":
    assert len(jax.devices()) == 8
    for kind in sys.argv[1:]:
        one = after_two_steps(kind)
        for name, layout in LAYOUTS.items():
            equal(one, after_two_steps(kind, *layout))
            print(kind, name)
    print("all equal")
