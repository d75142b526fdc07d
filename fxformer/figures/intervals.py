"""Interval plot: effects with their intervals in rows, beside expected regions and references."""

import dataclasses
import math
from collections.abc import Sequence

from fxformer.figures.drawing import BoxShape, CircleShape, Drawing, LineShape, Shape, TextShape
from fxformer.figures.font import clipped, text_width, wrapped

WIDTH, MARGIN = 640.0, 12.0
LEFT, RIGHT = 210.0, 150.0  # columns of names and of numbers
ROW, AXIS, TITLE = 22.0, 30.0, 22.0
SIZE, SMALL = 10.0, 8.5


@dataclasses.dataclass(frozen=True)
class IntervalRow:
    """An effect. low, high: of its interval, None: it has none

    text: the numbers, printed at the right
    hollow: marked by a hollow circle, as controls are
    region: (lowest, highest) expected value, drawn as a grey band; None: open on that side
    reference: a published value, drawn as a dashed line
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    text: str = ""
    hollow: bool = False
    region: tuple[float | None, float | None] | None = None
    reference: float | None = None

    @property
    def numbers(self) -> list[float]:
        """Everything that the axis must show."""
        region = self.region or (None, None)
        given = (self.value, self.low, self.high, self.reference, *region)
        return [one for one in given if one is not None and math.isfinite(one)]


@dataclasses.dataclass(frozen=True)
class IntervalPanel:
    """Rows that share an axis. title: what the numbers are"""

    title: str
    rows: Sequence[IntervalRow]


def interval_plot(
    panels: Sequence[IntervalPanel], title: str, caption: str, legend: str = ""
) -> Drawing:
    """The panels one below the other; caption and legend at the end."""
    shapes: list[Shape] = []
    top = MARGIN
    for line in wrapped(title, SIZE + 1, WIDTH - 2 * MARGIN, bold=True):
        top += 14
        shapes.append(TextShape(MARGIN, top, line, SIZE + 1, bold=True))
    top += 8
    for panel in panels:
        shapes += _panel(panel, top)
        top += TITLE + ROW * len(panel.rows) + AXIS
    for text in filter(None, (legend, caption)):
        for line in wrapped(text, SMALL, WIDTH - 2 * MARGIN):
            top += 12
            shapes.append(TextShape(MARGIN, top, line, SMALL, grey=0.3))
    return Drawing(WIDTH, top + MARGIN, tuple(shapes), title)


def _panel(panel: IntervalPanel, top: float) -> list[Shape]:
    numbers = [one for row in panel.rows for one in row.numbers]
    low, high = axis_range(numbers)
    left, right = LEFT, WIDTH - RIGHT

    def x(value: float) -> float:
        return left + (right - left) * (min(max(value, low), high) - low) / (high - low)

    first, bottom = top + TITLE, top + TITLE + ROW * len(panel.rows)
    shapes: list[Shape] = [TextShape(MARGIN, top + 14, panel.title, SIZE, bold=True)]
    for n, row in enumerate(panel.rows):
        shapes += _row(row, first + ROW * n, x, (low, high))
    shapes.append(LineShape(left, bottom, right, bottom))
    for tick in ticks(low, high):
        shapes.append(LineShape(x(tick), bottom, x(tick), bottom + 4))
        shapes.append(TextShape(x(tick), bottom + 14, f"{tick:g}", SMALL, "middle"))
    return shapes


def _row(row: IntervalRow, top: float, x, ends: tuple[float, float]) -> list[Shape]:
    middle = top + ROW / 2
    shapes: list[Shape] = []
    if row.region is not None:
        low, high = (end if one is None else one for one, end in zip(row.region, ends, strict=True))
        wide = max(x(high) - x(low), 3.0)
        centre = (x(high) + x(low)) / 2
        shapes.append(BoxShape(centre - wide / 2, top + 2, wide, ROW - 4, 0.85))
    if row.reference is not None:
        at = x(row.reference)
        shapes.append(LineShape(at, top + 1, at, top + ROW - 1, 1.5, 0.0, (3, 2)))
    if row.low is not None and row.high is not None:
        shapes.append(LineShape(x(row.low), middle, x(row.high), middle, 1.6))
        for end in (row.low, row.high):
            shapes.append(LineShape(x(end), middle - 3.5, x(end), middle + 3.5, 1.6))
    if math.isfinite(row.value):
        shapes.append(CircleShape(x(row.value), middle, 3.6, 1.0 if row.hollow else 0.0))
    shapes += _label(row.label, middle)
    text = clipped(row.text, SMALL, RIGHT - 2 * MARGIN)
    shapes.append(TextShape(WIDTH - RIGHT + MARGIN, middle + 3.5, text, SMALL))
    return shapes


def _label(text: str, middle: float) -> list[Shape]:
    """A name in one line, or in two small ones."""
    width = LEFT - 2 * MARGIN
    if text_width(text, SIZE) <= width:
        return [TextShape(LEFT - MARGIN, middle + 3.5, text, SIZE, "end")]
    first, *rest = wrapped(text, SMALL, width)
    lines = [first, *([" ".join(rest)] if rest else [])]
    top = middle + 3.0 - 4.5 * (len(lines) - 1)
    return [
        TextShape(LEFT - MARGIN, top + 9 * n, clipped(line, SMALL, width), SMALL, "end")
        for n, line in enumerate(lines)
    ]


def axis_range(numbers: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that shows these numbers, a tenth wider; around a single one."""
    if not numbers:
        return 0.0, 1.0
    low, high = min(numbers), max(numbers)
    room = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` round numbers from low to high: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 12) + 0.0 for n in range(first, last + 1)]
