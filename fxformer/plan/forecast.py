"""A run's cost from its config: shapes give arithmetic, a device's peak or real steps give time."""

import dataclasses
import functools
import math
import statistics
import time

import jax
import numpy as np

from fxformer.config.build import build
from fxformer.energy import host_usage
from fxformer.energy.config import TDPEnergy
from fxformer.energy.host_usage import take_startup
from fxformer.errors import UserError
from fxformer.flops.jaxpr_flops import executed_flops
from fxformer.flops.peak import cores, mesh_peak
from fxformer.flops.training import tokens_read
from fxformer.plan.knobs import Plan
from fxformer.train.compile import compile_step
from fxformer.train.setup import LOOKED, Setup, set_up
from fxformer.train.state import count_by_part

MFU = {"cpu": 0.35, "gpu": 0.30, "tpu": 0.40}  # shares of the peak that a small model reaches
DOUBT = 0.7  # of a time from such a share: one standard deviation, relative
NOISE = 0.07  # of a time from real steps: machines are noisy
PROGRAMS = 3.5  # what a run compiles (step, first state, evaluation, samples), in times of the step
ONCE_DOUBT = 0.5  # of what comes once: start-up, compiling
USUAL_START, USUAL_COMPILE = 7.0, 8.0  # processor seconds, where they are not measured here
RESIDENT = 0.7e9  # bytes of a process with nothing but its programs
SIGMAS = 1.96  # standard deviations of a normal that hold 95 %
FORWARD = 1 / 3  # of a step's arithmetic is its forward pass: what evaluating costs


@dataclasses.dataclass(frozen=True)
class Spread:
    """value, with one standard deviation sigma in the same unit. It cannot be negative and is
    uncertain by a factor: log-normal."""

    value: float
    sigma: float

    @property
    def interval(self) -> tuple[float, float]:
        """That of 95 %: value / f to value · f, f = exp(1.96 · (log(1 + (sigma/value)²))^½)."""
        if not self.value:
            return 0.0, 0.0
        factor = math.exp(SIGMAS * math.sqrt(math.log1p((self.sigma / self.value) ** 2)))
        return self.value / factor, self.value * factor

    def __add__(self, other: "Spread") -> "Spread":
        """Of two runs on the same machine, whose errors are one error."""
        return Spread(self.value + other.value, self.sigma + other.sigma)


@dataclasses.dataclass(frozen=True)
class Forecast:
    """parameters: exactly those the run will have; parts: by path
    flops_per_token: of forward and backward, for each token read; padding is no work
    executed: FLOPs that the program multiplies for each token read: hidden pairs, padding,
        recomputation and the optimizer's matrices too
    tokens: read in all training steps; flops: of them, without what is no work
    memory: bytes a step needs on one device, as its compiler says; None: not compiled
    seconds, joules: of the whole run: start-up, compiling, steps, evaluation
    once_seconds, once_joules: of them, what comes once: start-up and compiling
    mfu: share of the peak that real steps reached, or that was assumed
    how: where time and energy are from
    steps: of the run; budget: the limit that will end it earlier, in words
    """

    parameters: int
    parts: dict[str, int]
    flops_per_token: float
    executed: float
    tokens: float
    flops: float
    memory: int | None
    seconds: Spread
    joules: Spread
    mfu: float | None
    how: str
    steps: int
    budget: str | None
    once_seconds: float = 0.0
    once_joules: float = 0.0


@dataclasses.dataclass(frozen=True)
class Rates:
    """What a training step and an evaluation batch take: seconds and watts, with their relative
    standard deviations."""

    step: float
    evaluation: float
    watts: float
    doubt: float
    power_doubt: float
    mfu: float | None
    how: str


def forecast(cfg, knobs: Plan) -> Forecast:
    """Build the run, train nothing (calibrating: a few steps), and say what it will cost.

    Raises UserError for whatever `fxformer train` would refuse.
    """
    start, began = _started(), host_usage.cpu_seconds()
    setup, energy = set_up(cfg), build(cfg.energy)
    start += host_usage.cpu_seconds() - began
    batches = setup.data.train(setup.corpus.batch, cfg.seed)
    sizes = [tokens_read(setup.objective.corrupt(batches[n])) for n in range(LOOKED)]
    per_step, per_token = float(np.mean(sizes)), setup.flops_per_token
    compiled, state, compiling = _compiled(setup, knobs, cfg.seed)
    memory = None if compiled is None else _memory(compiled)
    flops = per_step * per_token
    done = executed_flops(setup.step, setup.like, setup.example)
    if knobs.calibrate:
        rates = _measured(setup, compiled, state, energy, knobs.seconds, flops)
    else:
        rates = _assumed(setup, energy, flops, done, memory)
    steps, every = setup.trainer.steps, setup.trainer.eval_every
    passes = math.ceil(steps / every) if every else 1
    evaluations = passes * len(setup.data.valid(setup.corpus.batch))
    loop = steps * rates.step + evaluations * rates.evaluation
    once = start + PROGRAMS * compiling
    kinds = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    once_joules = once * energy.expected_watts(kinds, cores=1, memory=RESIDENT + (memory or 0))
    whole, watts = once + loop, (once_joules + loop * rates.watts) / (once + loop)
    seconds, cut = _within(energy, setup.trainer.budget_minutes, whole, watts)
    if cut is not None:
        loop = max(seconds - once, 0.0)
    time_doubt = _doubt(once, ONCE_DOUBT, loop, rates.doubt) if cut is None else 0.0
    joules = once_joules + loop * rates.watts
    doubt = _doubt(once_joules, ONCE_DOUBT, loop * rates.watts, rates.doubt if cut is None else 0.0)
    return Forecast(
        parameters=setup.parameters,
        parts=count_by_part(setup.like.params),
        flops_per_token=per_token,
        executed=done / per_step,
        tokens=per_step * steps,
        flops=flops * steps,
        memory=memory,
        seconds=Spread(seconds, time_doubt * seconds),
        joules=Spread(joules, math.hypot(doubt, rates.power_doubt) * joules),
        once_seconds=once,
        once_joules=once_joules,
        mfu=rates.mfu,
        how=rates.how,
        steps=steps,
        budget=cut,
    )


def _doubt(one: float, its: float, other: float, others: float) -> float:
    """Relative standard deviation of a sum of two whose errors are independent."""
    return math.hypot(one * its, other * others) / (one + other) if one + other else 0.0


@functools.cache
def _started() -> float:
    """Processor seconds from this process's start to here: what a run's takes too. The usual ones
    where the process did other things as well."""
    seconds = host_usage.cpu_seconds() - take_startup().cpu_seconds
    return seconds if seconds > 0.5 else USUAL_START


def _within(
    energy: TDPEnergy, minutes: float | None, seconds: float, watts: float
) -> tuple[float, str | None]:
    """The seconds a run gets, and the budget that cuts it short, if one does."""
    carbon = energy.carbon
    limits = {}
    if minutes is not None:
        limits["trainer.budget_minutes"] = 60 * minutes
    if energy.budget_kwh is not None:
        limits["energy.budget_kwh"] = energy.budget_kwh / carbon.kwh(watts)
    if energy.budget_gco2e is not None:
        limits["energy.budget_gco2e"] = carbon.seconds_until(energy.budget_gco2e, watts)
    name = min(limits, key=limits.get, default=None)
    if name is None or limits[name] >= seconds:
        return seconds, None
    share = limits[name] / seconds
    return limits[name], f"{name} ends it after about {share:.0%} of its steps"


def _compiled(setup: Setup, knobs: Plan, seed: int):
    """(the compiled step, its first state, processor seconds of compiling the step); (None, None,
    the usual ones) where not asked."""
    if not (knobs.compile or knobs.calibrate):
        return None, None, USUAL_COMPILE
    began = host_usage.cpu_seconds()
    placement = jax.tree.map(lambda leaf: leaf.sharding, setup.like)
    jitted = compile_step(setup.step, placement, setup.mesh, donate=setup.trainer.donate)
    step = jitted.lower(setup.like, setup.put(setup.example)).compile()
    seconds, state = host_usage.cpu_seconds() - began, None
    if knobs.calibrate:
        state = jax.jit(setup.start, out_shardings=placement)(jax.random.key(seed))
    return step, state, seconds


def _memory(compiled) -> int | None:
    """Bytes of arguments, results and what lies between, as the compiler says; None if it does
    not."""
    facts = compiled.memory_analysis()
    if facts is None:
        return None
    shared = getattr(facts, "alias_size_in_bytes", 0)
    held = facts.argument_size_in_bytes + facts.output_size_in_bytes - shared
    return int(held + facts.temp_size_in_bytes)


def _measured(setup, step, state, energy, seconds, flops) -> Rates:
    """Real steps for some seconds, real evaluations for a fifth of that."""
    kinds = [d.device_kind for d in jax.local_devices() if d.platform != "cpu"]
    batches = setup.data.train(setup.corpus.batch, setup.cfg.seed)
    evaluate = jax.jit(setup.evaluate).lower(setup.like.params, setup.put(setup.example)).compile()
    state, _ = jax.block_until_ready(step(state, setup.put(setup.example)))  # the first is slow
    meter, times, began = energy.open(accelerators=kinds), [], time.perf_counter()
    number = 0
    while time.perf_counter() - began < seconds or number < 3:
        before, number = time.perf_counter(), number + 1
        batch = setup.put(setup.objective.corrupt(batches[number]))
        state, sums = step(state, batch)
        jax.block_until_ready((state, sums))
        times.append(time.perf_counter() - before)
    spent = time.perf_counter() - began
    joules = meter.close().total
    looks, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds / 5 or len(looks) < 2:
        before = time.perf_counter()
        jax.block_until_ready(evaluate(state.params, setup.put(setup.example)))
        looks.append(time.perf_counter() - before)
    pace = statistics.mean(times)
    peak = mesh_peak(setup.mesh, setup.cfg.precision.compute)
    return Rates(
        step=pace,
        evaluation=statistics.mean(looks),
        watts=joules.joules / spent,
        doubt=max(NOISE, statistics.pstdev(times) / pace / math.sqrt(len(times))),
        power_doubt=joules.relative,
        mfu=None if peak is None else flops / pace / peak[0],
        how=f"{len(times)} real steps; energy {joules.provenance}"
        + ("" if peak is None else f"; peak {peak[1]}"),
    )


def _assumed(setup, energy, flops, done, memory) -> Rates:
    """From the peak of the devices and a share of it that is common, reached by all the arithmetic
    that is done; the MFU is that of the arithmetic which is needed."""
    peak = mesh_peak(setup.mesh, setup.cfg.precision.compute)
    if peak is None:
        kind = jax.devices()[0].device_kind
        raise UserError(
            f"the peak of {kind} is not in the table, so nothing tells how long a step takes: "
            "write plan.calibrate=true"
        )
    share = MFU.get(jax.devices()[0].platform, min(MFU.values()))
    step = done / (share * peak[0])
    accelerators = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    watts = energy.expected_watts(accelerators, cores=cores(), memory=memory or 0)
    return Rates(
        step=step,
        evaluation=FORWARD * step,
        watts=watts,
        doubt=DOUBT,
        power_doubt=energy.sigma_modelled,
        mfu=share * flops / done,
        how=f"assumed {share:.0%} of the peak ({peak[1]}); energy modelled; "
        "plan.calibrate=true measures both",
    )
