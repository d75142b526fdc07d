"""A study on a terminal: what was tried, what mattered, what it cost, and what to run next."""

import shlex
from collections.abc import Sequence

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fxformer.search.configurations import Interval, Setting
from fxformer.search.cost import Cost
from fxformer.search.importance import CHANCE
from fxformer.search.report import Account
from fxformer.search.study import Study
from fxformer.search.table import COLOURS
from fxformer.search.text_plot import columns, front_of, number
from fxformer.track import formatting

SHOWN = 20  # settings, unless all are asked for


def show(account: Account, console: Console, everything: bool = False) -> None:
    """Print it."""
    study, width = account.study, min(100, console.width)
    console.print(Panel(_facts(account), title=Text(formatting.safe(study.name), style="bold"),
                        title_align="left", width=width))  # fmt: skip
    shown = account.settings if everything else account.settings[:SHOWN]
    console.print(_table(study, shown))
    if left := len(account.settings) - len(shown):
        console.print(Text(f"and {left} more: --all", style="dim"))
    for title, body in (
        ("what mattered", _importance(account)),
        (f"{study.objectives[0]} against energy", front_of(account, width)),
        ("what it cost", _cost(account.cost)),
    ):
        if body is not None:
            console.print(Panel(body, title=title, title_align="left", border_style="dim",
                                width=width))  # fmt: skip
    if account.best:
        console.print(Text("the best setting:", style="dim"))
        words = formatting.safe(shlex.join(account.best), 100_000)
        console.print(words, markup=False, highlight=False, soft_wrap=True)


def show_list(accounts: Sequence[Account], console: Console) -> None:
    """A line for each study, the newest last."""
    table = columns("study", "sampler", "keys", "best", "energy", "")
    for one in accounts:
        best = next((s.value.mean for s in one.settings if s.value), None)
        joules = formatting.si(one.cost.joules, "J") if one.cost.joules else "–"
        keys, sampler = str(len(one.study.space)), part(one.study.sampler)
        cells = (one.study.name, sampler, keys, number(best), joules, one.progress)
        table.add_row(*(Text(formatting.safe(cell)) for cell in cells))
    console.print(table)


def part(config: dict | None) -> str:
    """The name of a part that a config chooses: its class."""
    return "none" if not config else str(config.get("_target_", "?")).rpartition(".")[2]


def _facts(account: Account) -> Table:
    study = account.study
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    space = ", ".join(_dimension(one) for one in study.space)
    for what, value in (
        ("trials", account.progress),
        ("objective", ", ".join(f"{'largest' if name in study.maximize else 'smallest'} {name}"
                                for name in study.objectives)),
        ("drawn by", f"{part(study.sampler)}, seed {study.seed}; pruner {part(study.pruner)}"),
        ("space", space),
        ("command", shlex.join(("fxformer", *study.command))),
        ("folder", str(study.folder)),
    ):  # fmt: skip
        grid.add_row(what, Text(formatting.safe(value)))
    return grid


def _dimension(one) -> str:
    if one.kind == "choice":
        return f"{one.key} of {', '.join(number(choice) for choice in one.choices)}"
    return f"{one.key} {number(one.low)} – {number(one.high)}{' (log)' if one.log else ''}"


def _table(study: Study, shown: Sequence[Setting]) -> Table:
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
    """The last word of a key, where no other ends so."""
    word = key.rpartition(".")[2]
    return word if sum(other.rpartition(".")[2] == word for other in keys) == 1 else key


def span(value: Interval | None) -> str:
    """low – high (n), or nothing where there is no interval."""
    if value is None or value.low is None:
        return ""
    return f"{number(value.low)} – {number(value.high)} ({value.n})"


def _importance(account: Account) -> Group | Text | None:
    if isinstance(account.importance, str):
        return Text(account.importance)
    table = columns("key", "share", " ", "by chance")
    for one in account.importance:
        sure = one.chance <= CHANCE
        cells = (one.key, formatting.percent(one.share), "█" * round(30 * one.share),
                 f"{one.chance:.3f}" if sure else f"{one.chance:.2f}: cannot be told")  # fmt: skip
        table.add_row(*(Text(formatting.safe(cell), style="" if sure else "dim") for cell in cells))
    note = "by chance: how often the same values, dealt out anew, give a key as much"
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
        lines.append(against_grid(cost))
    return Text("\n".join(lines))


def against_grid(cost: Cost) -> str:
    """A sentence: what the grid would have cost, with its interval."""
    kwh, share = cost.grid_kwh, formatting.percent(cost.kwh / cost.grid_kwh.mean)
    ends = "" if kwh.low is None else f" ({_wh(kwh.low)} – {_wh(kwh.high)}, 95 %)"
    return (
        f"the grid, {cost.resolution} values of each interval, has {cost.grid:,} trials: "
        f"{_wh(kwh.mean)}{ends}; this search took {share} of it"
    )


def _wh(kwh: float) -> str:
    return formatting.si(1000 * kwh, "Wh")
