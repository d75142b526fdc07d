"""Figure of a claim: effects and controls with intervals, expected regions, published values."""

from collections.abc import Sequence

from fxformer.claims.analysis import Analysis, ClaimFinding
from fxformer.claims.counts import ExactNumber
from fxformer.claims.table import effect_text
from fxformer.claims.verdict import ClaimResult
from fxformer.figures.drawing import Drawing
from fxformer.figures.intervals import IntervalPanel, IntervalRow, interval_plot

LEGEND = (
    "Filled circles: effects, which must lie in the grey region; hollow circles: controls, which "
    "must lie outside it; bars: {bars}; dashed line: published."
)


def claim_figure(result: ClaimResult) -> Drawing:
    """One panel for each kind of analysis of each measure: the effects, then the controls."""
    study = result.study
    panels: dict[tuple[str, str, str], list[IntervalRow]] = {}
    for parts, findings, hollow in (
        (study.analyses, result.findings, False),
        (study.controls, result.controls, True),
    ):
        for name, found in findings.items():
            row = _row(name, parts[name], found, hollow)
            kind = type(parts[name]).__name__
            panels.setdefault((kind, parts[name].measure, parts[name].unit), []).append(row)
    caption = f"{study.source}. {result.verdict.capitalize()}, {study.seeds} seeds an arm."
    return interval_plot(
        [IntervalPanel(_title(*key), rows) for key, rows in panels.items()],
        study.claim,
        caption,
        LEGEND.format(bars=_bars([*study.analyses.values(), *study.controls.values()])),
    )


def _bars(drawn: Sequence[Analysis]) -> str:
    """What the bars of these analyses are."""
    exact = [one for one in drawn if isinstance(one, ExactNumber)]
    shares = sorted({one.interval_confidence for one in drawn if one not in exact})
    words = [f"{' and '.join(f'{one:.0%}' for one in shares)} intervals over seeds"] * bool(shares)
    return ", or ".join(words + ["smallest to largest of exact numbers"] * bool(exact))


def _row(name: str, one: Analysis, found: ClaimFinding, hollow: bool) -> IntervalRow:
    return IntervalRow(
        label=f"control: {name}" if hollow else name,
        value=found.effect.mean,
        low=found.effect.low,
        high=found.effect.high,
        text=effect_text(found),
        hollow=hollow,
        region=(one.above, one.below),
        reference=one.published,
    )


TITLES = {
    "MeanValue": "mean of {}",
    "MeanDifference": "difference of {}",
    "Equivalence": "difference of {}",
    "MeanRatio": "ratio of {}",
    "MeanOrder": "smallest step of {}",
    "LogLogSlope": "exponent of {}",
    "LinearFit": "R² of a line of {}",
    "PowerLaw": "exponent of {}",
    "PowerLawForecast": "forecast / measured {}",
    "OptimalSize": "exponent of the size with the best {}",
    "RunProportion": "share of runs by {}",
    "ExactNumber": "{}",
}


def _title(kind: str, measure: str, unit: str) -> str:
    text = TITLES.get(kind, "{}").format(measure)  # "{}": of another package
    return f"{text} ({unit})" if unit else text
