"""A study's result on a terminal: verdict, effects with intervals beside the published ones."""

from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fxformer.claims.analysis import ClaimFinding
from fxformer.claims.record import RecordedStudy
from fxformer.claims.study import ClaimStudy
from fxformer.claims.verdict import ClaimResult, region
from fxformer.track import formatting

COLOURS = {"reproduced": "green", "not reproduced": "red", "inconclusive": "yellow"}


def number(value: float | None) -> str:
    """Four significant digits, whole numbers in full; – for None and NaN."""
    if value is None or value != value:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def effect_text(one: ClaimFinding) -> str:
    """`-0.498 [-0.512, -0.484]`; without an interval the number alone."""
    effect = one.effect
    text = number(effect.mean)
    if effect.low is None or effect.high is None or effect.low == effect.high == effect.mean:
        return text
    return f"{text} [{number(effect.low)}, {number(effect.high)}]"


def show(result: ClaimResult, console: Console) -> None:
    """Print claim, source, findings, controls, verdict and cost."""
    study = result.study
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in (
        ("claim", study.claim),
        ("source", study.source),
        ("published", study.published),
    ):
        facts.add_row(label, Text(formatting.safe(value)))
    lines: list[RenderableType] = [facts, Text(), _findings(result)]
    verdict = result.verdict + (" (quick variant)" if result.quick else "")
    lines.append(Text.assemble("\nverdict: ", (verdict, f"bold {COLOURS[result.verdict]}")))
    lines += [Text(f"  {formatting.safe(why)}") for why in result.reasons]
    seeds = formatting.plural(study.seeds, "seed")
    energy, time = formatting.si(result.joules, "J"), formatting.duration(result.seconds)
    lines.append(Text(f"cost: {energy}, {time}, {seeds} of {len(study.arms)} arms", style="dim"))
    console.print(Group(*lines))


def _findings(result: ClaimResult) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for name, right in (
        ("", False),
        ("effect [interval]", True),
        ("expected", True),
        ("published", True),
        ("n", True),
        ("", False),
    ):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for title, findings in (("", result.findings), ("control ", result.controls)):
        _rows(table, result.study, title, findings)
    return table


def _rows(
    table: Table, study: ClaimStudy, title: str, findings: Mapping[str, ClaimFinding]
) -> None:
    wanted = "fails" if title else "holds"
    for name, one in findings.items():
        analysis = study.analyses.get(name) or study.controls[name]
        colour = "green" if one.decision == wanted else "yellow"
        colour = "red" if one.decision not in (wanted, "undecided") else colour
        expected = f"not {region(study, name)}" if title else region(study, name)
        cells = (
            f"{title}{name}",
            f"{effect_text(one)} {analysis.unit}".rstrip(),
            expected,
            number(analysis.published),
            str(one.effect.n),
        )
        decision = Text(one.decision, style=colour)
        table.add_row(*(Text(formatting.safe(cell)) for cell in cells), decision)


def show_list(
    studies: Mapping[str, ClaimStudy], records: Mapping[str, RecordedStudy | None], console: Console
) -> None:
    """Print a line for each claim: recorded verdict, cost and the claim."""
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for name in ("name", "recorded", "minutes", "joules", "claim"):
        right = name in ("minutes", "joules")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for name, study in studies.items():
        found = records.get(name)
        if found is None:
            cells = (Text("not recorded", style="dim"), Text(""), Text(""))
        else:
            stale = "" if found.is_current(name) else " (of an earlier design)"
            verdict = Text(found.verdict + stale, style=COLOURS[found.outcome])
            cells = (verdict, Text(number(found.minutes)), Text(formatting.si(found.joules, "J")))
        table.add_row(Text(name), *cells, Text(formatting.safe(study.claim)))
    console.print(table)
