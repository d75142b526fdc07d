"""An audit on a terminal: checks, texts before and after, time of corruption."""

from collections.abc import Sequence
from typing import cast

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fxformer.evaluate.audit.check import Finding
from fxformer.evaluate.audit.report import Report
from fxformer.evaluate.audit.texts import Example
from fxformer.track import formatting

STYLES = {
    "same": "",
    "removed": "red",
    "mask": "bold yellow",
    "new": "bold green",
    "special": "dim",
}
FEW = 4  # classes of shares that are written out


def show(report: Report, console: Console) -> None:
    """Print all of it."""
    width = min(110, console.width)
    console.print(rules(report, width))
    if report.examples:
        console.print(texts(report.examples, width))
    console.print(summary(report, width))


def rules(report: Report, width: int) -> RenderableType:
    """A line for each rule, under the name of the part it belongs to."""
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False, width=width - 4)
    table.add_column("rule", ratio=1, overflow="fold")
    for name in ("nominal", "observed", "interval", "draws"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    part = ""
    for finding in report.drawn.findings:
        owner, _, rule = finding.check.name.rpartition(": ")
        if owner != part:
            part = owner
            table.add_row(Text(owner or "the whole", style="bold"))
        table.add_row(Text(rule), *cells(finding), verdict(finding))
    title = Text(f"audit of {report.name}", style="bold")
    return Panel(table, title=title, title_align="left", border_style="dim", width=width)


def cells(finding: Finding) -> tuple[str, str, str, str]:
    """nominal, observed, interval, draws, in words."""
    check, seen = finding.check, finding.draws > 0
    draws = formatting.count(finding.draws)
    if check.kind == "exact":
        observed, low = cast(float, finding.observed), cast(float, finding.low)
        wrong = round((1 - observed) * finding.draws) if seen else 0
        # what share of wrong values so many draws could have hidden
        most = f"≤ {1 - low:.1g}" if seen else ""
        return "none", f"{wrong:,} wrong" if wrong else "none" if seen else "–", most, draws
    if not seen:
        return _number(check.nominal), "–", "", draws
    if check.kind == "shares":
        nominal, shares, tops = (
            cast(tuple[float, ...], one) for one in (check.nominal, finding.observed, finding.high)
        )
        if len(nominal) > FEW:
            return f"{len(nominal)} shares", f"p = {finding.p_value:.2g}", "chi-square", draws
        reach = max(high - now for high, now in zip(tops, shares, strict=True))
        return _number(nominal), _number(shares), f"± {reach:.4f}", draws
    observed, high = cast(float, finding.observed), cast(float, finding.high)
    return _number(check.nominal), f"{observed:.4f}", f"± {high - observed:.4f}", draws


def verdict(finding: Finding) -> Text:
    """holds, BROKEN, or unseen: the rule found nothing to look at, so nothing is known."""
    if not finding.draws:
        return Text("unseen", style="dim" if finding.holds else "bold yellow")
    if finding.holds:
        return Text("holds", style="green")
    return Text("BROKEN", style="bold red")


def texts(examples: Sequence[Example], width: int) -> RenderableType:
    """Before and after: removed red, masks yellow, inserted and changed green."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for n, example in enumerate(examples):
        if n:
            grid.add_row("")
        for what, spans in example.lines:
            line = Text()
            for text, fate in spans:
                line.append(text, style=STYLES[fate])
            indent = len(line.plain) - len(line.plain.lstrip())
            grid.add_row(what, line[indent:])
    title = Text.assemble(
        "before and after: ",
        ("removed", "red"),
        ", ",
        ("mask", "bold yellow"),
        ", ",
        ("new", "bold green"),
    )
    return Panel(grid, title=title, title_align="left", border_style="dim", width=width)


def summary(report: Report, width: int) -> RenderableType:
    """How much was drawn, what was left out, what it costs, and the verdict."""
    drawn, broken = report.drawn, report.drawn.broken
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    epochs = f"{drawn.epochs} epoch{'s' if drawn.epochs > 1 else ''}"
    tokens = formatting.count(drawn.tokens)
    grid.add_row("drawn", f"{drawn.examples:,} examples, {tokens} tokens, {epochs}")
    left = ", ".join(f"{name}: {count:,}" for name, count in drawn.tally.items()) or "nothing"
    grid.add_row("left out", left)
    grid.add_row("cost", cost(report))
    sure = f"{1 - report.alpha:.6g} for all {len(drawn.findings)} rules together (Bonferroni)"
    grid.add_row("confidence", sure)
    names = "; ".join(finding.check.name for finding in broken)
    words = f"broken: {names}" if broken else f"all {len(drawn.findings)} rules hold"
    if unseen := [f.check.name for f in drawn.findings if f.holds and not f.draws]:
        words += f"; nothing to see for: {'; '.join(unseen)}"
    words = words if drawn.findings else "no rules: this objective declares no check"
    colour = "green" if report.holds else "red"
    grid.add_row("verdict", Text(words, style=f"bold {colour}"))
    return Panel(grid, border_style=colour, width=width)


def cost(report: Report) -> str:
    """Milliseconds of a batch, tokens a second, and the share of a step where it is known."""
    rows, length = report.shape
    speed = formatting.count(1e3 * rows * length / max(report.corrupt_ms, 1e-9))
    words = f"{report.corrupt_ms:.2f} ms for a batch of {rows} × {length}, {speed} tokens/s"
    if report.step_ms is None:
        return f"{words}; audit.steps=20 compares it with a training step"
    share = report.corrupt_ms / report.step_ms
    return f"{words}; {share:.1%} of a training step of {report.step_ms:.1f} ms"


def _number(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{part:.3f}" for part in value[:FEW])
    return f"{value:.4f}" if value else "0"
