"""All claims as docs/claims.md and as one HTML page: verdicts, effects, controls, cost, figures."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import chain

from fxformer.claims.figure import claim_figure
from fxformer.claims.record import RecordedStudy
from fxformer.claims.study import ClaimStudy
from fxformer.claims.table import effect_text, number
from fxformer.claims.verdict import ClaimResult, region
from fxformer.figures.svg import svg
from fxformer.track import formatting

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem;
  color: #1b1f24; background: #fff; } h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d5dae0; }
svg { max-width: 100%; height: auto; } .cost { color: #667; }
"""
INTRO = (
    "Published claims, each reproduced in miniature by `fxformer reproduce NAME`. A claim is "
    "reproduced only where every analysis holds and every control fails; effects have intervals "
    "over seeds. Each row is the recorded whole run of the claim's study."
)
HEADER = (
    "claim",
    "verdict",
    "effects [interval]",
    "published",
    "controls",
    "seeds",
    "minutes",
    "J",
)


def markdown(studies: Mapping[str, ClaimStudy], records: Mapping[str, RecordedStudy | None]) -> str:
    """The text of docs/claims.md."""
    lines = ["# Claims", "", "Written by `fxformer reproduce --all`; do not edit.", "", INTRO, ""]
    lines += [_line(HEADER), _line(["---"] * 5 + ["---:"] * 3)]
    for name, study in studies.items():
        cells = _cells(study, records.get(name))
        lines.append(_line([f"[{name}](../experiments/{name}/README.md)", *cells]))
    for name, study in studies.items():
        found = records.get(name)
        lines += ["", f"## {name}", "", f"{study.claim}", "", f"Source: {study.source}."]
        if found is not None:
            lines += ["", f"![{name}](../experiments/{name}/figure.svg)", "", _cost(found)]
            reasons = found.result(study).reasons
            lines += ["", *(f"- {why}" for why in reasons)] if reasons else []
    return "\n".join(lines) + "\n"


def html(studies: Mapping[str, ClaimStudy], records: Mapping[str, RecordedStudy | None]) -> str:
    """One page with the table and a figure for each recorded claim."""
    rows = [
        ["<tr>", f'<td><a href="#{_safe(name)}">{_safe(name)}</a></td>',
         *(f"<td>{_safe(cell)}</td>" for cell in _cells(study, records.get(name))), "</tr>"]
        for name, study in studies.items()
    ]  # fmt: skip
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Claims</title><style>{STYLE}</style></head><body><h1>Claims</h1>",
        f'<p>{_safe(INTRO.replace("`", ""))}</p><div class="wide"><table><thead><tr>',
        *(f"<th>{_safe(one)}</th>" for one in HEADER),
        "</tr></thead><tbody>",
        *chain.from_iterable(rows),
        "</tbody></table></div>",
    ]
    for name, study in studies.items():
        found = records.get(name)
        parts.append(f'<h2 id="{_safe(name)}">{_safe(name)}</h2><p>{_safe(study.claim)}</p>')
        if found is None:
            parts.append("<p>No whole run is recorded.</p>")
            continue
        parts += [
            svg(claim_figure(found.result(study))),
            f'<p class="cost">{_safe(_cost(found))}</p>',
        ]
    return "".join([*parts, "</body></html>\n"])


def _cells(study: ClaimStudy, found: RecordedStudy | None) -> list[str]:
    if found is None:
        return ["not recorded", "", study.published, "", str(study.seeds), "", ""]
    result = found.result(study)
    stale = "" if found.is_current(study.name) else ", of an earlier design"
    return [
        found.verdict + stale,
        "; ".join(f"{name} {effect_text(one)}" for name, one in result.findings.items()),
        study.published,
        _controls(result),
        str(found.seeds),
        number(found.minutes),
        number(found.joules),
    ]


def _controls(result: ClaimResult) -> str:
    return "; ".join(
        f"{name} {effect_text(one)}, not {region(result.study, name)}: {one.decision}"
        for name, one in result.controls.items()
    )


def _cost(found: RecordedStudy) -> str:
    machine = found.machine
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    energy = f"{number(found.joules)} J ({found.energy})" if found.energy else number(found.joules)
    return (
        f"{found.seeds} seeds an arm, {number(found.minutes)} minutes, {energy}, {found.date}, "
        f"{machine.get('cpu')} with {machine.get('threads')} threads; {versions}."
    )


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(v.replace('|', chr(92) + '|') for v in values)} |"


def _safe(text: str) -> str:
    return escape(formatting.safe(text, 10_000))
