"""A drawing as PDF 1.4: one page of vector shapes and text in Helvetica, which readers bring."""

import math

from fxformer.figures.drawing import BoxShape, CircleShape, Drawing, LineShape, Shape, TextShape

# Characters that the encoding of PDF's own fonts lacks.
SPELLED = {"−": "-", "≥": ">=", "≤": "<=", "√": "sqrt ", "≠": "!=", "≈": "~", "∝": "~", "→": "->"}
ARC = 4 / 3 * (math.sqrt(2) - 1)  # of the Bézier curve that is a quarter of a circle


def pdf(drawing: Drawing) -> bytes:
    """The bytes of a PDF file."""
    height = drawing.height
    content = "\n".join(_shape(one, height) for one in drawing.shapes).encode("cp1252")
    fonts = "/Font << /F1 5 0 R /F2 6 0 R >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {drawing.width:g} {height:g}] "
        f"/Resources << {fonts} >> /Contents 4 0 R >>".encode(),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        _font("Helvetica"),
        _font("Helvetica-Bold"),
        f"<< /Title ({_escaped(drawing.title)}) /Producer (fxformer) >>".encode("cp1252"),
    ]
    body, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, one in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count, start = len(objects) + 1, len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table)
    body += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\n" % (count, len(objects))
    return body + b"startxref\n%d\n%%%%EOF\n" % start


def _font(name: str) -> bytes:
    kind = "/Type /Font /Subtype /Type1 /Encoding /WinAnsiEncoding"
    return f"<< {kind} /BaseFont /{name} >>".encode()


def _shape(one: Shape, height: float) -> str:
    """Operators of one shape; PDF measures from the bottom of the page."""
    match one:
        case LineShape():
            dash = " ".join(f"{d:g}" for d in one.dash)
            ends = f"{one.x1:.2f} {height - one.y1:.2f} m {one.x2:.2f} {height - one.y2:.2f} l S"
            return f"{one.grey:.3f} G {one.width:g} w [{dash}] 0 d {ends}"
        case BoxShape():
            corner = f"{one.x:.2f} {height - one.y - one.height:.2f}"
            fill = "" if one.fill is None else f"{one.fill:.3f} g "
            edge = "" if one.edge is None else f"{one.edge:.3f} G 1 w [] 0 d "
            kinds = {(True, True): "B", (True, False): "f", (False, True): "S"}
            paint = kinds.get((one.fill is not None, one.edge is not None), "n")
            return f"{fill}{edge}{corner} {one.width:.2f} {one.height:.2f} re {paint}"
        case CircleShape():
            return _circle(one.x, height - one.y, one.radius, one.fill)
        case TextShape():
            font = "/F2" if one.bold else "/F1"
            place = f"{one.left:.2f} {height - one.y:.2f} Td"
            text = f"({_escaped(one.text)}) Tj"
            return f"BT {one.grey:.3f} g {font} {one.size:g} Tf {place} {text} ET"


def _circle(x: float, y: float, r: float, fill: float) -> str:
    k = ARC * r
    curves = [
        (x + r, y + k, x + k, y + r, x, y + r),
        (x - k, y + r, x - r, y + k, x - r, y),
        (x - r, y - k, x - k, y - r, x, y - r),
        (x + k, y - r, x + r, y - k, x + r, y),
    ]
    path = " ".join(" ".join(f"{v:.2f}" for v in curve) + " c" for curve in curves)
    return f"{fill:.3f} g 0 G 1 w [] 0 d {x + r:.2f} {y:.2f} m {path} b"


def _escaped(text: str) -> str:
    """A text inside ( ), in characters of cp1252."""
    spelled = "".join(SPELLED.get(c, c) if c.isprintable() else " " for c in text)
    kept = spelled.encode("cp1252", errors="replace").decode("cp1252")
    return kept.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
