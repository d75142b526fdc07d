"""A drawing as SVG: one file without scripts, styles or external requests."""

from xml.sax.saxutils import escape, quoteattr

from fxformer.figures.drawing import BoxShape, CircleShape, Drawing, LineShape, Shape, TextShape

FONT = "Helvetica, Arial, sans-serif"


def svg(drawing: Drawing) -> str:
    """The text of an SVG file."""
    size = f'width="{drawing.width:g}" height="{drawing.height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 {drawing.width:g} {drawing.height:g}" role="img" '
        f'font-family="{FONT}" aria-label={quoteattr(_printable(drawing.title))}>',
        f'<rect {size} fill="#fff"/>',
        *map(_shape, drawing.shapes),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _shape(one: Shape) -> str:
    match one:
        case LineShape():
            dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in one.dash)}"' if one.dash else ""
            ends = f'x1="{one.x1:.1f}" y1="{one.y1:.1f}" x2="{one.x2:.1f}" y2="{one.y2:.1f}"'
            return f'<line {ends} stroke="{_grey(one.grey)}" stroke-width="{one.width:g}"{dash}/>'
        case BoxShape():
            place = f'x="{one.x:.1f}" y="{one.y:.1f}"'
            size = f'width="{one.width:.1f}" height="{one.height:.1f}"'
            edge = "" if one.edge is None else f' stroke="{_grey(one.edge)}"'
            fill = "none" if one.fill is None else _grey(one.fill)
            return f'<rect {place} {size} fill="{fill}"{edge}/>'
        case CircleShape():
            place = f'cx="{one.x:.1f}" cy="{one.y:.1f}" r="{one.radius:g}"'
            return f'<circle {place} fill="{_grey(one.fill)}" stroke="#000"/>'
        case TextShape():
            bold = ' font-weight="bold"' if one.bold else ""
            anchor = "" if one.anchor == "start" else f' text-anchor="{one.anchor}"'
            place = f'x="{one.x:.1f}" y="{one.y:.1f}" font-size="{one.size:g}"'
            text = escape(_printable(one.text))
            return f'<text {place}{anchor}{bold} fill="{_grey(one.grey)}">{text}</text>'


def _grey(level: float) -> str:
    return f"#{round(255 * level):02x}" + 2 * f"{round(255 * level):02x}"


def _printable(text: str) -> str:
    """Without control characters, which XML does not allow."""
    return "".join(c if c.isprintable() else " " for c in text)
