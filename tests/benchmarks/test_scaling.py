"""FLOPs of a program from its HLO, and the table of scaling."""

import jax
import jax.numpy as jnp

from benchmarks import scaling
from tests.collectives import product_flops


def test_products_in_loops_count_as_often_as_they_run():
    def repeated(x, w):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, length=5)[0]

    def batched(a, b):
        return jnp.einsum("BTD,BSD->BTS", a, b)

    def flops(function, *shapes):
        text = jax.jit(function).lower(*map(jnp.ones, shapes)).compile().as_text()
        assert text is not None
        return product_flops(text)

    assert flops(repeated, (3, 16), (16, 16)) == 5 * 2 * 3 * 16 * 16
    assert flops(batched, (2, 5, 8), (2, 7, 8)) == 2 * 2 * 5 * 7 * 8


def test_work_that_devices_repeat_is_no_efficiency():
    """Everything is divided, but for `tensor`, where half of the work is done by each device."""
    found = {
        f"{rows} {count} {mesh}": {
            "flops": 1e6 * rows * (0.5 + 0.5 / count if mesh == "tensor" else 1 / count),
            "sent": 1e3 * (count - 1),
        }
        for rows, count, mesh in scaling.programs((2, 8))
    }
    lines = [line.strip("| ").split(" | ") for line in scaling.table(found, (2, 8))[2:]]
    share = {(line[0], line[1]): line[4] for line in lines if len(line) == 7}
    assert share["strong", "data 8"] == share["weak", "fsdp 2"] == "100.0%"
    assert share["strong", "tensor 8"] == share["weak", "tensor 8"] == "22.2%"
    assert len(share) == 12 and share["weak", "tensor 2"] == "66.7%"
