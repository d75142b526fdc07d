"""Page of a suite's results: one HTML file without scripts or external requests."""

from html import escape
from itertools import chain

from fxformer.suite import table
from fxformer.suite.results import SuiteResult, TaskResult
from fxformer.track import formatting

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #667; --line: #d5dae0; --bar: #2f6fb0;
  --best: #c05621; --back: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --dim: #9aa4b2; --line: #333b45;
  --bar: #6aa9e9; --best: #f0a060; --back: #14181d; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back);
  margin: 0 auto; padding: 1rem; max-width: 64rem; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
p, li { color: var(--dim); overflow-wrap: anywhere; } ul { padding-left: 1.1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--dim); font-weight: 500; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
tr.average td { font-weight: 600; } tr.also td { color: var(--dim); }
svg { width: 100%; max-width: 36rem; height: auto; display: block; } svg text { fill: var(--ink); }
.grid { stroke: var(--line); } .bar { fill: var(--bar); } .range { stroke: var(--ink); }
.best { stroke: var(--best); stroke-width: 2; } svg .dim { fill: var(--dim); }
"""
ROW, LEFT, WIDTH = 26, 110, 300  # units of the drawing


def html(result: SuiteResult, command: str = "") -> str:
    """The page. command: what computes it again"""
    title = f"{result.suite.name}: {result.model}"
    energy, time = formatting.si(result.joules, "J"), formatting.duration(result.seconds)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_safe(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{_safe(title)}</h1>",
        f"<p>{_safe(energy)}, {_safe(time)} of all runs; search {_safe(result.study)}</p>",
        _chart(result),
        '<h2>Results</h2><div class="wide"><table><thead><tr>',
        *(f"<th>{_safe(name)}</th>" for name in table.header(result)),
        "</tr></thead><tbody>",
        *chain.from_iterable(_row(result, row) for row in table.rows(result)),
        "</tbody></table></div><h2>Notes</h2><ul>",
        *(f"<li>{_safe(one)}</li>" for one in table.notes(result)),
        *(f"<li>{_safe(one.name)}: {_safe(one.about)}</li>" for one in result.tasks if one.about),
        "</ul>",
        f"<p>{_safe(command)}</p>" if command else "",
        "</body></html>\n",
    ]
    return "".join(parts)


def _row(result: SuiteResult, row: table.TableRow) -> list[str]:
    cells = (f"<td>{_safe(one)}</td>" for one in table.cells(result, row))
    return [f'<tr class="{row.kind}">', *cells, "</tr>"]


def _chart(result: SuiteResult) -> str:
    """Scores from 0 to 100 with their intervals, and the best possible ones as marks."""
    scored = [one for one in result.tasks if one.score is not None]
    if not scored:
        return ""
    height = ROW * len(scored) + 24
    lines = [
        f'<h2>Scores</h2><svg viewBox="0 0 {LEFT + WIDTH + 50} {height}" role="img" '
        'font-size="13" aria-label="scores of the tasks">'
    ]
    for tick in (0, 25, 50, 75, 100):
        x = _x(tick)
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height - 20}"/>')
        lines.append(
            f'<text class="dim" x="{x}" y="{height - 6}" text-anchor="middle">{tick}</text>'
        )
    for place, one in enumerate(scored):
        lines += _bar(result, one, ROW * place)
    return "".join([*lines, "</svg>"])


def _bar(result: SuiteResult, task: TaskResult, top: float) -> list[str]:
    score = task.score
    assert score is not None
    middle = top + ROW / 2
    lines = [
        f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{_safe(task.name)}</text>',
        f'<rect class="bar" x="{LEFT}" y="{top + 6}" height="{ROW - 12}" '
        f'width="{max(_x(score.value) - LEFT, 0):.1f}"/>',
        f'<text class="dim" x="{_x(100) + 8}" y="{middle + 4}">{score.value:.1f}</text>',
    ]
    if score.low is not None and score.high is not None:
        ends = f'x1="{_x(score.low):.1f}" x2="{_x(score.high):.1f}"'
        lines.append(f'<line class="range" {ends} y1="{middle}" y2="{middle}"/>')
    best = _best(result, task)
    if best is not None:
        x = f"{_x(best):.1f}"
        lines.append(f'<line class="best" x1="{x}" x2="{x}" y1="{top + 3}" y2="{top + ROW - 3}"/>')
    return lines


def _best(result: SuiteResult, task: TaskResult) -> float | None:
    """The best possible score, where it is known of all metrics."""
    known = {one.name: one.best for one in task.numbers if one.best is not None}
    return result.suite.tasks[task.name].score(known)


def _x(value: float) -> float:
    return LEFT + WIDTH * min(max(value, 0.0), 100.0) / 100


def _safe(text: str) -> str:
    return escape(formatting.safe(text, 10_000))
