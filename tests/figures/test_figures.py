"""Figures: well-formed SVG and PDF of the same shapes, axes that show all numbers."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from fxformer.errors import UserError
from fxformer.figures.drawing import Drawing, LineShape, TextShape, check_figure, write_figure
from fxformer.figures.font import clipped, text_width, wrapped
from fxformer.figures.intervals import IntervalPanel, IntervalRow, axis_range, interval_plot, ticks
from fxformer.figures.pdf import pdf
from fxformer.figures.svg import svg

ROWS = [
    IntervalRow('a < b & "c" (d)', 1.0, 0.5, 1.5, "1 [0.5, 1.5]", region=(0.8, None), reference=2),
    IntervalRow("control: a name that is too long for the column of names", 3.0, hollow=True),
]
PLOT = interval_plot([IntervalPanel("difference of x", ROWS)], "A claim − with ≥ 1", "a source")


def test_svg_is_xml_with_every_text():
    root = ElementTree.fromstring(svg(PLOT))
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert 'a < b & "c" (d)' in texts and "1 [0.5, 1.5]" in texts and "a source" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 2


def test_svg_holds_no_script_of_a_name():
    body = svg(Drawing(9, 9, (TextShape(0, 0, "<script>\x00</script>"),), '"><script>'))
    assert "<script" not in body and ElementTree.fromstring(body) is not None


def test_pdf_has_a_table_of_its_objects_and_the_length_of_its_page():
    body = pdf(PLOT)
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", body)[1])
    assert body[start:].startswith(b"xref\n0 8\n")
    offsets = [int(one) for one in re.findall(rb"^(\d{10}) 00000 n ", body[start:], re.MULTILINE)]
    assert all(body[at:].startswith(b"%d 0 obj" % n) for n, at in enumerate(offsets, 1))
    length, content = re.search(
        rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", body, re.DOTALL
    ).groups()
    assert int(length) == len(content)
    assert rb'(a < b & "c" \(d\)) Tj' in content and b"(A claim - with >= 1) Tj" in content


def test_a_file_is_written_by_its_ending(tmp_path):
    drawing = Drawing(10, 10, (LineShape(0, 0, 10, 10),), "line")
    assert write_figure(drawing, tmp_path / "a.svg").read_text().startswith("<svg")
    assert write_figure(drawing, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-1.4")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.pdf", "a.svg"]
    with pytest.raises(UserError, match=r"--figure .*a.png: the name must end in .svg or .pdf"):
        check_figure(tmp_path / "a.png", "--figure")


@pytest.mark.parametrize("low, high", [(0, 1), (-3e-7, 5e-7), (95, 10_000), (-2.2, 1.5)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 7 and low <= found[0] and found[-1] <= high


def test_an_axis_shows_a_single_number_and_none():
    assert axis_range([5.0]) == (4.5, 5.5) and axis_range([0.0]) == (-1, 1)
    assert axis_range([]) == (0, 1)


def test_texts_are_wrapped_and_clipped_by_their_widths():
    lines = wrapped("one two three four five six", 10, 60)
    assert len(lines) > 1 and all(text_width(line, 10) <= 60 for line in lines)
    assert clipped("abcdefghijklm", 10, 40).endswith("…")
    assert text_width(clipped("abcdefghijklm", 10, 40), 10) <= 40
