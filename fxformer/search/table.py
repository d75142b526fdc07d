"""Progress table of a search on a terminal: running and best trials, counts and energy."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fxformer.search.space import shown
from fxformer.search.study import Study, Trial
from fxformer.track import formatting

COLOURS = {
    "complete": "green", "pruned": "blue", "running": "cyan", "failed": "red",
    "interrupted": "yellow", "stopped": "yellow", "waiting": "dim", "skipped": "dim",
}  # fmt: skip
ROWS = 12  # at most


@contextlib.contextmanager
def live_table(render: Callable[[], Group], console: Console) -> Iterator[None]:
    """Show `render()`, refreshed every second, while the body runs; nothing without a terminal."""
    if not console.is_terminal:
        yield
        return
    live = Live(get_renderable=render, console=console, refresh_per_second=1, transient=True)
    with live:
        yield


def progress_table(study: Study, trials: Sequence[Trial], kwh: float) -> Group:
    """Running trials, the best ones, and the summary line."""
    running = [trial for trial in trials if trial.state == "running"]
    rest = study.ranked(trials)[: max(ROWS - len(running), 3)]
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in ("trial", "state", study.objectives[0], "step", "energy", "parameters"):
        table.add_column(name, justify="left" if name in ("state", "parameters") else "right")
    for trial in [*running, *rest]:
        table.add_row(*_cells(trial))
    return Group(table, summary(study, trials, kwh))


def _cells(trial: Trial) -> list[Text]:
    """The cells of a row."""
    last = trial.reports[-1] if trial.reports else None
    value = trial.value if trial.value is not None else last[1] if last else None
    used = trial.kwh or (last[2] if last else 0.0)
    return [
        Text(str(trial.slot)),
        Text(trial.state, style=COLOURS[trial.state]),
        Text(formatting.loss(value)),
        Text(str(last[0]) if last else "–"),
        Text(formatting.si(1000 * used, "Wh") if used else "–"),
        Text(formatting.safe(shown(trial.params, trial.overrides), 200)),
    ]


def trial_line(study: Study, trial: Trial) -> Text:
    """A finished trial in one line."""
    words = [f"trial {trial.slot}", trial.state]
    if trial.value is not None:
        words.append(f"{study.objectives[0]} {formatting.loss(trial.value)}")
    if trial.kwh:
        words.append(formatting.si(1000 * trial.kwh, "Wh"))
    words.append(formatting.safe(shown(trial.params, trial.overrides), 300))
    if trial.reason:
        words.append(f"({formatting.safe(trial.reason, 300)})")
    return Text("  ".join(words), style=COLOURS[trial.state] if trial.state == "failed" else "")


def summary(study: Study, trials: Sequence[Trial], kwh: float) -> Text:
    """Trials by state, the best value, and the total energy, in one line."""
    counts = Counter(trial.state for trial in trials)
    states = ", ".join(f"{counts[state]} {state}" for state in COLOURS if counts[state])
    words = [f"{formatting.plural(len(trials), 'trial')}: {states}" if trials else "no trials"]
    if best := study.best(trials):
        words.append(
            f"best {study.objectives[0]} {formatting.loss(best.value)} (trial {best.slot})"
        )
    energy = formatting.si(1000 * kwh, "Wh")
    if study.budget_kwh is not None:
        share = formatting.percent(kwh / study.budget_kwh)
        energy += f", {share} of the budget of {formatting.si(1000 * study.budget_kwh, 'Wh')}"
    return Text("; ".join([*words, energy]), style="bold")
