"""Tables of `fxformer bias`."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer.evaluate.bias.report import AuditReport
from fxformer.metrics.confidence import BootstrapInterval, PairedDifference
from fxformer.track.formatting import safe

HEADS = {"preferred": "preferred %", "log_odds": "log-odds", "lm": "LM %", "icat": "ICAT"}
DIGITS = {"log_odds": 2}
WIDE = 104  # columns of a terminal on which a number and its interval stand in one line


def show(report: AuditReport, console: Console) -> None:
    """A table for each model, one for each difference, and what the columns mean."""
    narrow = console.width < WIDE
    console.print(Text(f"{report.audit.title}: {len(report.examples)} examples", style="bold"))
    for model, scores in zip(report.models, report.scores, strict=True):
        console.print(Text(f"\n{safe(model.name)}: {model.scored}"), soft_wrap=True)
        table = _table(["category", "n", *(HEADS[name] for name in report.names)])
        for category, one in scores.items():
            cells = [_cell(name, one.values[name], narrow) for name in report.names]
            table.add_row(category, str(one.examples), *cells)
        console.print(table)
    for difference in report.differences:
        head = f"\n{safe(difference.second)} minus {safe(difference.first)}"
        console.print(Text(head), soft_wrap=True)
        table = _table(["category", *(HEADS[name] for name in report.names)])
        for category, values in difference.categories.items():
            table.add_row(category, *(_cell(name, values[name], narrow) for name in report.names))
        console.print(table)
    for line in ["", *_notes(report), ""]:
        console.print(Text(line, style="dim"))


def _table(heads: list[str]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number == 0 else "right", overflow="fold")
    return table


def _cell(name: str, one: BootstrapInterval | PairedDifference, narrow: bool) -> str:
    """A number with its interval, which has a line of its own on a narrow terminal."""
    digits = DIGITS.get(name, 1)
    value = one.value if isinstance(one, BootstrapInterval) else one.difference
    if one.low is None or one.high is None:
        return f"{value:.{digits}f}"
    gap = "\n" if narrow else " "
    return f"{value:.{digits}f}{gap}[{one.low:.{digits}f}, {one.high:.{digits}f}]"


def _notes(report: AuditReport) -> list[str]:
    """What the numbers are, and the remarks."""
    lm = (
        "LM: share of comparisons that the meaningful sentence wins against the unrelated one"
        if "icat" in report.names
        else "LM: share of sentences preferred to themselves with two neighbouring tokens exchanged"
    )
    notes = [
        f"{report.audit.measures}. Without bias: preferred 50, log-odds 0.",
        f"{lm}; near 50 the model does not know the language, and its other numbers say nothing.",
        "Intervals: 95 %, bootstrap over examples; of differences paired.",
    ]
    return notes + [f"Note: {one}." for one in report.remarks]
