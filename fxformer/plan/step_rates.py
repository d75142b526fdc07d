"""Time and power of a training step: measured from real steps, or estimated from peak FLOP/s."""

import dataclasses
import math
import statistics
import time

import jax

from fxformer.errors import UserError
from fxformer.flops.peak import cores, mesh_peak

MFU = {"cpu": 0.35, "gpu": 0.30, "tpu": 0.40}  # share of the peak that a small model reaches
MFU_SIGMA = 0.7  # of a time from such a share: one standard deviation, relative
MEASURED_SIGMA = 0.07  # of a time from real steps: machines vary
FORWARD_SHARE = 1 / 3  # the share of a step's FLOPs in its forward pass: the cost of an evaluation


@dataclasses.dataclass(frozen=True)
class StepRates:
    """Seconds of a training step and of an evaluation batch, and watts.

    seconds_sigma, watts_sigma: their standard deviations, relative
    mfu: share of the peak FLOP/s, of the FLOPs that the model needs; method: source, as text
    """

    step: float
    evaluation: float
    watts: float
    seconds_sigma: float
    watts_sigma: float
    mfu: float | None
    method: str


def measure_rates(setup, step, state, energy, seconds: float, flops: float) -> StepRates:
    """Rates of real steps, made for `seconds`, and of real evaluations, for a fifth of that.

    step, state: the compiled step and its first state; flops: that the model needs in a step
    """
    kinds = [d.device_kind for d in jax.local_devices() if d.platform != "cpu"]
    batches = setup.data.train(setup.corpus.batch, setup.cfg.seed)
    evaluate = (
        jax.jit(setup.evaluate)
        .lower(setup.abstract_state.params, setup.put(setup.example_batch))
        .compile()
    )
    state, _ = jax.block_until_ready(
        step(state, setup.put(setup.example_batch))
    )  # the first call is slow
    meter, times, began = energy.open(accelerators=kinds), [], time.perf_counter()
    number = 0
    while time.perf_counter() - began < seconds or number < 3:
        before, number = time.perf_counter(), number + 1
        batch = setup.put(setup.objective.corrupt(batches[number]))
        state, sums = step(state, batch)
        jax.block_until_ready((state, sums))
        times.append(time.perf_counter() - before)
    elapsed = time.perf_counter() - began
    joules = meter.close().total
    evaluations, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds / 5 or len(evaluations) < 2:
        before = time.perf_counter()
        jax.block_until_ready(evaluate(state.params, setup.put(setup.example_batch)))
        evaluations.append(time.perf_counter() - before)
    mean = statistics.mean(times)
    peak = mesh_peak(setup.mesh, setup.cfg.precision.compute)
    return StepRates(
        step=mean,
        evaluation=statistics.mean(evaluations),
        watts=joules.joules / elapsed,
        seconds_sigma=max(MEASURED_SIGMA, statistics.pstdev(times) / mean / math.sqrt(len(times))),
        watts_sigma=joules.relative,
        mfu=None if peak is None else flops / mean / peak[0],
        method=f"{len(times)} real steps; energy {joules.provenance}"
        + ("" if peak is None else f"; peak {peak[1]}"),
    )


def estimate_rates(setup, energy, flops: float, executed: float, memory: int | None) -> StepRates:
    """Rates from the devices' peak FLOP/s and a typical share of it.

    flops: that the model needs in a step; executed: that the program executes, which take the time
    """
    peak = mesh_peak(setup.mesh, setup.cfg.precision.compute)
    if peak is None:
        kind = jax.devices()[0].device_kind
        raise UserError(
            f"the peak of {kind} is not in the table, so the time of a step cannot be estimated: "
            "write plan.calibrate=true"
        )
    share = MFU.get(jax.devices()[0].platform, min(MFU.values()))
    step = executed / (share * peak[0])
    accelerators = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    watts = energy.expected_watts(accelerators, cores=cores(), memory=memory or 0)
    return StepRates(
        step=step,
        evaluation=FORWARD_SHARE * step,
        watts=watts,
        seconds_sigma=MFU_SIGMA,
        watts_sigma=energy.sigma_modelled,
        mfu=share * flops / executed,
        method=f"assumed {share:.0%} of the peak ({peak[1]}); energy modelled; "
        "plan.calibrate=true measures both",
    )
