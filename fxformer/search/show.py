"""Report of a study on a terminal: ranking, importance, Pareto front, cost, best command."""

import shlex
from collections.abc import Sequence

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.search.configurations import Configuration
from fxformer.search.cost import Cost
from fxformer.search.importance import ALPHA
from fxformer.search.report import StudyReport
from fxformer.search.study import Study
from fxformer.search.table import COLOURS
from fxformer.search.text_plot import columns, number, pareto_plot
from fxformer.track import formatting

SHOWN = 20  # configurations, without --all


def show(report: StudyReport, console: Console, everything: bool = False) -> None:
    """Print the report; `everything`: all configurations, not the best 20."""
    study, width = report.study, min(100, console.width)
    console.print(Panel(_facts(report), title=Text(formatting.safe(study.name), style="bold"),
                        title_align="left", width=width))  # fmt: skip
    shown = report.configurations if everything else report.configurations[:SHOWN]
    console.print(_table(study, shown))
    if left := len(report.configurations) - len(shown):
        console.print(Text(f"{left} more configurations: --all", style="dim"))
    for title, body in (
        ("parameter importance", _importance(report)),
        (f"{study.objectives[0]} vs. energy", pareto_plot(report, width)),
        ("cost", _cost(report.cost)),
    ):
        if body is not None:
            console.print(Panel(body, title=title, title_align="left", border_style="dim",
                                width=width))  # fmt: skip
    if report.best:
        console.print(Text("train the best configuration:", style="dim"))
        words = formatting.safe(shlex.join(report.best), 100_000)
        console.print(words, markup=False, highlight=False, soft_wrap=True)


def show_list(accounts: Sequence[StudyReport], console: Console) -> None:
    """Print a line per study, the newest last."""
    table = columns("study", "sampler", "keys", "best", "energy", "")
    for one in accounts:
        best = next((s.value.mean for s in one.configurations if s.value), None)
        joules = formatting.si(one.cost.joules, "J") if one.cost.joules else "–"
        keys, sampler = str(len(one.study.space)), part(one.study.sampler)
        cells = (one.study.name, sampler, keys, number(best), joules, one.progress)
        table.add_row(*(Text(formatting.safe(cell)) for cell in cells))
    console.print(table)


def part(config: dict | None) -> str:
    """The class name of a part of a config."""
    return "none" if not config else str(config.get("_target_", "?")).rpartition(".")[2]


def _facts(report: StudyReport) -> Table:
    study = report.study
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    space = ", ".join(_dimension(one) for one in study.space)
    for label, value in (
        ("trials", report.progress),
        ("objective", ", ".join(f"{'maximize' if name in study.maximize else 'minimize'} {name}"
                                for name in study.objectives)),
        ("sampler", f"{part(study.sampler)}, seed {study.seed}; pruner {part(study.pruner)}"),
        ("space", space),
        ("command", shlex.join(("fxformer", *study.command))),
        ("folder", str(study.folder)),
    ):  # fmt: skip
        grid.add_row(label, Text(formatting.safe(value)))
    return grid


def _dimension(one) -> str:
    if one.kind == "choice":
        return f"{one.key} of {', '.join(number(choice) for choice in one.choices)}"
    return f"{one.key} {number(one.low)} – {number(one.high)}{' (log)' if one.log else ''}"


def _table(study: Study, shown: Sequence[Configuration]) -> Table:
    keys = list(dict.fromkeys(key for one in shown for key in one.params))
    repeated = any(len(one.trials) > 1 for one in shown)
    names = ["rank", study.objectives[0], *(["95 % over seeds"] if repeated else []), "Wh"]
    table = columns(*names, *(_short(key, keys) for key in keys), "state")
    for one in shown:
        last = "" if one.last is None else f"({number(one.last)})"
        cells = [str(one.rank or ""), number(one.value.mean) if one.value else last]
        cells += [span(one.value)] if repeated else []
        cells += [f"{1000 * one.kwh:.3g}", *(number(one.params.get(key)) for key in keys)]
        state = Text(one.state, style=COLOURS.get(one.trials[0].status, ""))
        state.append(f": {formatting.safe(one.reason, 200)}" if one.reason else "", style="dim")
        table.add_row(*(Text(formatting.safe(cell)) for cell in cells), state)
    return table


def _short(key: str, keys: Sequence[str]) -> str:
    """The last component of a key, if no other key has the same one."""
    word = key.rpartition(".")[2]
    return word if sum(other.rpartition(".")[2] == word for other in keys) == 1 else key


def span(value: ConfidenceInterval | None) -> str:
    """An interval as "low – high (n)"; "" without one."""
    if value is None or value.low is None:
        return ""
    return f"{number(value.low)} – {number(value.high)} ({value.n})"


def _importance(report: StudyReport) -> Group | Text | None:
    if isinstance(report.importance, str):
        return Text(report.importance)
    table = columns("key", "share", " ", "p-value")
    for one in report.importance:
        significant = one.p_value <= ALPHA
        p = f"{one.p_value:.3f}" if significant else f"{one.p_value:.2f}: not significant"
        cells = (one.key, formatting.percent(one.share), "█" * round(30 * one.share), p)
        table.add_row(
            *(Text(formatting.safe(cell), style="" if significant else "dim") for cell in cells)
        )
    note = "p-value: of a permutation test of the values over the trials"
    return Group(table, Text(note, style="dim"))


def _cost(cost: Cost) -> Text:
    carbon, time = formatting.si(cost.gco2e, "g"), formatting.duration(cost.seconds)
    energy = f"{formatting.si(cost.joules, 'J')}, {_wh(cost.kwh)} of electricity"
    lines = [f"{energy}, {carbon} CO2e, {time} of wall time (all phases)"]
    if len(cost.by_state) > 1:
        ranked = sorted(cost.by_state.items(), key=lambda item: -item[1])
        lines.append(", ".join(f"{state} {_wh(kwh)}" for state, kwh in ranked))
    if cost.budget_kwh:
        share = formatting.percent(cost.kwh / cost.budget_kwh)
        lines.append(f"{share} of the budget of {_wh(cost.budget_kwh)}")
    if cost.grid_kwh is not None:
        lines.append(_grid_estimate(cost, cost.grid_kwh))
    return Text("\n".join(lines))


def _grid_estimate(cost: Cost, kwh: ConfidenceInterval) -> str:
    """A sentence on the estimated cost of the grid, with its interval."""
    share = formatting.percent(cost.kwh / kwh.mean)
    ends = ""
    if kwh.low is not None and kwh.high is not None:
        ends = f" ({_wh(kwh.low)} – {_wh(kwh.high)}, 95 %)"
    return (
        f"estimate for a grid of {cost.grid_trials:,} trials "
        f"({cost.resolution} values per interval): "
        f"{_wh(kwh.mean)}{ends}; this search used {share} of it"
    )


def _wh(kwh: float) -> str:
    return formatting.si(1000 * kwh, "Wh")
