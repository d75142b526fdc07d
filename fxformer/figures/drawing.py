"""Drawing: lines, boxes, circles and texts in points, written as SVG or PDF by the file's name.

Shades of grey only, so that a figure reads the same in black and white. The origin is the top left.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.figures.font import text_width

SUFFIXES = (".svg", ".pdf")


@dataclasses.dataclass(frozen=True)
class LineShape:
    """A straight line. grey: 0 black to 1 white; dash: lengths of dashes and gaps, () for none"""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float = 1.0
    grey: float = 0.0
    dash: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class BoxShape:
    """A rectangle. fill, edge: grey; None: none"""

    x: float
    y: float
    width: float
    height: float
    fill: float | None = 0.9
    edge: float | None = None


@dataclasses.dataclass(frozen=True)
class CircleShape:
    """A circle with a black edge. fill: grey"""

    x: float
    y: float
    radius: float
    fill: float = 0.0


@dataclasses.dataclass(frozen=True)
class TextShape:
    """A text whose baseline begins, is centred or ends at (x, y)."""

    x: float
    y: float
    text: str
    size: float = 10.0
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    grey: float = 0.0

    @property
    def left(self) -> float:
        """Where it begins."""
        width = text_width(self.text, self.size, self.bold)
        return self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]


Shape = LineShape | BoxShape | CircleShape | TextShape


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Shapes on a white page. title: for readers who cannot see it, and in the file's facts"""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    title: str


def check_figure(path: str | Path, option: str) -> Path:
    """The path of a figure to write. UserError where it cannot be written, or for another ending
    than .svg or .pdf."""
    from fxformer.files import check_output

    if Path(path).suffix.lower() not in SUFFIXES:
        raise UserError(f"{option} {path}: the name must end in {' or '.join(SUFFIXES)}")
    return check_output(path, option, stream=False)


def write_figure(drawing: Drawing, path: str | Path) -> Path:
    """Write a drawing as SVG or PDF. UserError for another ending."""
    from fxformer.figures.pdf import pdf
    from fxformer.figures.svg import svg

    file = Path(path).expanduser()
    if file.suffix.lower() == ".svg":
        jsonl.replace(file, svg(drawing))
    elif file.suffix.lower() == ".pdf":
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(pdf(drawing))
        part.replace(file)
    else:
        raise UserError(f"{path}: the name must end in {' or '.join(SUFFIXES)}")
    return file
