"""Forecast of a run's parameters, FLOPs, memory, time and energy from its config."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import jax
import numpy as np

from fxformer.config.build import build
from fxformer.energy import host_usage
from fxformer.energy.carbon import find_region
from fxformer.energy.config import TDPEnergy
from fxformer.energy.host_usage import take_startup
from fxformer.files import check_output
from fxformer.flops.jaxpr_flops import matrix_product_flops
from fxformer.flops.training import tokens_read
from fxformer.plan.cluster import (
    ClusterConfig,
    ClusterForecast,
    cluster_forecast,
    on_one_device,
)
from fxformer.plan.step_rates import estimate_rates, measure_rates
from fxformer.train.compile import compile_step, traced_step
from fxformer.train.experiment import SAMPLED_BATCHES
from fxformer.train.setup import Setup, set_up
from fxformer.train.state import count_by_part
from fxformer.types import Positive

COMPILES = 3.5  # compile time of a run (step, first state, evaluation, samples) / of the step
ONCE_SIGMA = 0.5  # of start-up and compiling: one standard deviation, relative
TYPICAL_START, TYPICAL_COMPILE = 7.0, 8.0  # processor seconds, where they are not measured here
BASE_MEMORY = 0.7e9  # resident bytes of a process without its data
SIGMAS = 1.96  # standard deviations of a normal that hold 95 %


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Options of `fxformer plan`: the `plan` part of conf/plan.yaml.

    calibrate: make real steps, to measure their time and energy; their weights are discarded
    seconds: of such steps, after compiling
    compile: compile the step, to know the memory it needs; calibration does so anyway
    regions: regions whose grids are compared with this one's
    cluster: devices of a further forecast: a step of `mesh=` on many of them
    json: file for everything that is printed
    """

    calibrate: bool = False
    seconds: Positive = 5.0
    compile: bool = True
    regions: Sequence[str] = ("SWE", "FRA", "USA", "DEU", "POL")
    cluster: ClusterConfig = ClusterConfig()
    json: str | None = None

    def __post_init__(self) -> None:
        for code in self.regions:
            find_region(code)
        if self.json is not None:
            check_output(self.json, "plan.json")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with one standard deviation, sigma, in the same unit; log-normal."""

    value: float
    sigma: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %: value / f to value · f, f = exp(1.96 · (log(1 + (sigma/value)²))^½)."""
        if not self.value:
            return 0.0, 0.0
        factor = math.exp(SIGMAS * math.sqrt(math.log1p((self.sigma / self.value) ** 2)))
        return self.value / factor, self.value * factor

    def __add__(self, other: "Estimate") -> "Estimate":
        """The sum for two runs on the same machine, whose errors are fully correlated."""
        return Estimate(self.value + other.value, self.sigma + other.sigma)


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Forecast of one run.

    parameters: exact number; parts: by path
    flops_per_token: model FLOPs of forward and backward pass per token read, without padding
    executed: FLOPs that the program executes per token read, with masked pairs, padding,
        recomputation and the optimizer's matrices
    tokens: read in all training steps; flops: model FLOPs of them
    memory: bytes of a step on one device, from the compiler; None: not compiled
    seconds, joules: of the whole run: start-up, compiling, steps, evaluation
    once_seconds, once_joules: of them, those of start-up and compiling
    cluster: a step on many devices; None: not asked for
    mfu: share of the peak FLOP/s that real steps reached, or that was assumed
    method: source of time and energy, as text
    steps: of the run; budget: the limit that will end it earlier, as text
    """

    parameters: int
    parts: dict[str, int]
    flops_per_token: float
    executed: float
    tokens: float
    flops: float
    memory: int | None
    seconds: Estimate
    joules: Estimate
    mfu: float | None
    method: str
    steps: int
    budget: str | None
    once_seconds: float = 0.0
    once_joules: float = 0.0
    cluster: ClusterForecast | None = None


def forecast(cfg, options: PlanConfig) -> Forecast:
    """Build the run and estimate its cost; trains nothing, or a few steps to calibrate.

    Raises UserError for whatever `fxformer train` would refuse.
    """
    start, began = _started(), host_usage.cpu_seconds()
    cluster, config = options.cluster, build(cfg.mesh)
    setup = set_up(cfg if cluster.devices is None else on_one_device(cfg))
    energy = build(cfg.energy)
    start += host_usage.cpu_seconds() - began
    batches = setup.data.train(setup.corpus.batch, cfg.seed)
    sizes = [tokens_read(setup.objective.corrupt(batches[n])) for n in range(SAMPLED_BATCHES)]
    per_step, per_token = float(np.mean(sizes)), setup.flops_per_token
    compiled, state, compiling = _compiled(setup, options, cfg.seed)
    memory = None if compiled is None else _memory(compiled)
    flops = per_step * per_token
    traced = traced_step(setup.step, setup.abstract_state, setup.abstract_batch, setup.mesh)
    executed = matrix_product_flops(traced.jaxpr.jaxpr)
    on_cluster = None
    if cluster.devices is not None:
        on_cluster = cluster_forecast(setup, config, cluster, executed, per_step)
    if options.calibrate:
        rates = measure_rates(setup, compiled, state, energy, options.seconds, flops)
    else:
        rates = estimate_rates(setup, energy, flops, executed, memory)
    steps, every = setup.trainer.steps, setup.trainer.eval_every
    passes = math.ceil(steps / every) if every else 1
    evaluations = passes * len(setup.data.valid(setup.corpus.batch))
    loop = steps * rates.step + evaluations * rates.evaluation
    once = start + COMPILES * compiling
    kinds = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    once_joules = once * energy.expected_watts(kinds, cores=1, memory=BASE_MEMORY + (memory or 0))
    whole, watts = once + loop, (once_joules + loop * rates.watts) / (once + loop)
    seconds, cut = _within(energy, setup.trainer.budget_minutes, whole, watts)
    if cut is not None:
        loop = max(seconds - once, 0.0)
    time_sigma = _sum_sigma(once, ONCE_SIGMA, loop, rates.seconds_sigma) if cut is None else 0.0
    joules = once_joules + loop * rates.watts
    loop_sigma = rates.seconds_sigma if cut is None else 0.0
    sigma = _sum_sigma(once_joules, ONCE_SIGMA, loop * rates.watts, loop_sigma)
    return Forecast(
        parameters=setup.parameters,
        parts=count_by_part(setup.abstract_state.params),
        flops_per_token=per_token,
        executed=executed / per_step,
        tokens=per_step * steps,
        flops=flops * steps,
        memory=memory,
        seconds=Estimate(seconds, time_sigma * seconds),
        joules=Estimate(joules, math.hypot(sigma, rates.watts_sigma) * joules),
        once_seconds=once,
        once_joules=once_joules,
        cluster=on_cluster,
        mfu=rates.mfu,
        method=rates.method,
        steps=steps,
        budget=cut,
    )


def _sum_sigma(a: float, a_sigma: float, b: float, b_sigma: float) -> float:
    """Relative standard deviation of a + b, from those of a and b, whose errors are independent."""
    return math.hypot(a * a_sigma, b * b_sigma) / (a + b) if a + b else 0.0


@functools.cache
def _started() -> float:
    """Processor seconds from this process's start to here, which a run needs too; typical
    ones where the process did other things as well."""
    seconds = host_usage.cpu_seconds() - take_startup().cpu_seconds
    return seconds if seconds > 0.5 else TYPICAL_START


def _within(
    energy: TDPEnergy, minutes: float | None, seconds: float, watts: float
) -> tuple[float, str | None]:
    """(seconds of the run, the budget that ends it early or None)."""
    carbon = energy.carbon
    limits = {}
    if minutes is not None:
        limits["trainer.budget_minutes"] = 60 * minutes
    if energy.budget_kwh is not None:
        limits["energy.budget_kwh"] = energy.budget_kwh / carbon.kwh(watts)
    if energy.budget_gco2e is not None:
        limits["energy.budget_gco2e"] = carbon.seconds_until(energy.budget_gco2e, watts)
    name = min(limits, key=lambda one: limits[one], default=None)
    if name is None or limits[name] >= seconds:
        return seconds, None
    share = limits[name] / seconds
    return limits[name], f"{name} ends it after about {share:.0%} of its steps"


def _compiled(setup: Setup, options: PlanConfig, seed: int):
    """(the compiled step, its first state, processor seconds of compiling the step); (None, None,
    typical seconds) where it is not compiled."""
    if not (options.compile or options.calibrate):
        return None, None, TYPICAL_COMPILE
    began = host_usage.cpu_seconds()
    placement = jax.tree.map(lambda leaf: leaf.sharding, setup.abstract_state)
    jitted = compile_step(setup.step, placement, setup.mesh, donate=setup.trainer.donate)
    step = jitted.lower(setup.abstract_state, setup.put(setup.example_batch)).compile()
    seconds, state = host_usage.cpu_seconds() - began, None
    if options.calibrate:
        state = jax.jit(setup.init_state, out_shardings=placement)(jax.random.key(seed))
    return step, state, seconds


def _memory(compiled) -> int | None:
    """Bytes of arguments, results and temporaries, from the compiler; None: it reports none."""
    facts = compiled.memory_analysis()
    if facts is None:
        return None
    shared = getattr(facts, "alias_size_in_bytes", 0)
    held = facts.argument_size_in_bytes + facts.output_size_in_bytes - shared
    return int(held + facts.temp_size_in_bytes)
