"""Widths of Helvetica's characters (Adobe's published metrics), and wrapping by them."""

# In thousandths of the size, of the characters from space to tilde.
WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
OTHER = {"…": 1000, "—": 1000}  # further characters; of all others 556
BOLD = 1.1  # at most: bold letters are wider


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line of text in points."""
    total = sum(WIDTHS[ord(c) - 32] if 32 <= ord(c) <= 126 else OTHER.get(c, 556) for c in text)
    return total * size / 1000 * (BOLD if bold else 1.0)


def wrapped(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """The text in lines no wider than `width` points; a longer word stands alone."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def clipped(text: str, size: float, width: float) -> str:
    """The text, or its beginning and an ellipsis where it is wider than `width` points."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
