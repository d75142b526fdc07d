"""docs/objectives.md: every preset audited, nominal and observed side by side. `make audit`."""

import itertools
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fxformer.config import folders
from fxformer.evaluate.audit.cost import PASSES, milliseconds

PAGE = folders.PACKAGE.parent / "docs" / "objectives.md"
TIMED = (32, 512)
MODELS = {"seq2seq": "bart", "encoder": "bert", "decoder": "gpt2"}
OVERRIDE = re.compile(r"(?<!\S)[\w./]+=[\w./]*\w")

INTRO = """# Objectives, measured

Written by `make audit`, which draws at least {draws:,} examples from every preset of
`conf/objective` and tests each of its checks; do not edit. `fxformer audit objective=NAME` does the
same for one, on any data.

For every preset, the probability that a rule is called broken although all hold is at most
{alpha:g} (Bonferroni over its rules), and the intervals (±) hold together at confidence {sure:g}.
A rule without chance (a token moved across a border, a target that is not the original) must hold
for every single value. Text: `{data}`, {length} tokens a row; times: {cpu}, one thread,
the quickest of {passes} batches.

"""


def presets() -> list[str]:
    """The names of all objectives there are."""
    return folders.pretraining_objectives()


def words(name: str) -> list[str]:
    """The command line that audits a preset: with a model that it fits, and the other options that
    the comment at the top of its yaml names."""
    text = (folders.conf_folder() / "objective" / f"{name}.yaml").read_text(encoding="utf-8")
    opening = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    needs = OVERRIDE.findall("\n".join(opening))
    own = any(word.startswith("model=") for word in needs)
    model = [] if own else [f"model={MODELS[architecture(name)]}"]
    return [f"objective={name}", *model, *needs]


def architecture(name: str) -> str:
    """The architecture that a preset trains; of several the first of `MODELS`."""
    from hydra import compose, initialize_config_dir

    from fxformer.config.target import locate

    folders.register()
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        target = compose("audit", [f"objective={name}"]).objective._target_
    return next(kind for kind in MODELS if kind in locate(target).legal)


def audited(name: str, more: Sequence[str]) -> dict[str, Any]:
    """The audit of a preset as JSON, with its command and its time at the bench shape."""
    from fxformer.cli import app

    argv = words(name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audit.json"
        code = app.audit([*argv, *more, f"audit.json={file}"])
        if not file.is_file():
            raise SystemExit(code)
        found = json.loads(file.read_text(encoding="utf-8"))
    shape, milliseconds = timed(argv)
    found |= {"command": " ".join(["fxformer audit", *argv]), "shape": shape, "ms": milliseconds}
    return found


def timed(argv: list[str], shape: tuple[int, int] = TIMED) -> tuple[tuple[int, int], float]:
    """Shape of a batch [rows, tokens] and the milliseconds it takes to corrupt it."""
    from hydra import compose, initialize_config_dir

    from fxformer.config.target import locate
    from fxformer.train.experiment import open_experiment

    options = [f"data.batch={shape[0]}", f"data.length={shape[1]}"]
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        cfg = compose("audit", argv)
        if not locate(cfg.objective._target_).reads_pairs:  # pairs keep the length they have
            cfg = compose("audit", [*argv, *options])
    task = open_experiment(cfg)
    batches = task.data.train(task.corpus.batch, cfg.seed)
    size = (task.corpus.batch, task.corpus.length)
    return size, milliseconds(task.objective, batches)


def page(audits: Sequence[dict[str, Any]]) -> str:
    """The whole document."""
    first = max(audits, key=lambda audit: audit["data"]["length"])
    intro = INTRO.format(
        draws=min(audit["examples_drawn"] for audit in audits) // 1000 * 1000,
        alpha=first["alpha"],
        sure=1 - first["alpha"],
        data="stdlib_docs",
        length=first["data"]["length"],
        cpu=first["machine"]["cpu"],
        passes=PASSES,
    )
    lines = [
        "| preset | rules | verdict | nominal share | observed | corrupt | tokens/s |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    lines += [_overview(audit) for audit in audits]
    return intro + "\n".join(lines) + "\n" + "".join(_section(audit) for audit in audits)


def _overview(audit: dict[str, Any]) -> str:
    name, (rows, length) = audit["objective"], audit["shape"]
    verdict = "holds" if audit["holds"] else "**broken**"
    speed = rows * length / audit["ms"] / 1e3
    time = f"{audit['ms']:.2f} ms for {rows} × {length}"
    shares = [r for r in audit["rules"] if "share" in r["name"] and r["kind"] in ("mean", "ratio")]
    nominal, observed = (
        ", ".join("–" if r[value] is None else f"{r[value]:.4f}" for r in shares if r["nominal"])
        for value in ("nominal", "observed")
    )
    cells = (f"[`{name}`](#{name})", len(audit["rules"]), verdict, nominal, observed, time)
    return "| " + " | ".join(map(str, cells)) + f" | {speed:.1f} M |"


def _section(audit: dict[str, Any]) -> str:
    drawn = f"{audit['examples_drawn']:,} examples, {audit['tokens_drawn'] / 1e6:.1f} M tokens"
    left = ", ".join(f"{name}: {count:,}" for name, count in audit["left_out"].items())
    lines = [
        "",
        f"## `{audit['objective']}`",
        "",
        f"`{audit['command']}`: {drawn}; left out: {left or 'nothing'}.",
        "",
    ]
    chance = [rule for rule in audit["rules"] if rule["kind"] != "exact"]
    if chance:
        lines += ["| rule | nominal | observed | ± | draws | |", "|---|---:|---:|---:|---:|---|"]
        lines += [_row(rule) for rule in chance]
        lines += [""]
    lines += _exact([rule for rule in audit["rules"] if rule["kind"] == "exact"])
    for example in audit["examples"][:1]:
        lines += ["", "```text", *(f"{what:<7} {text}" for what, text in example.items()), "```"]
    return "\n".join(lines) + "\n"


def _row(rule: dict[str, Any]) -> str:
    verdict = "holds" if rule["holds"] else "**broken**"
    verdict = verdict if rule["draws"] or not rule["holds"] else "unseen"
    nominal, observed, high = rule["nominal"], rule["observed"], rule["high"]
    if isinstance(nominal, list) and len(nominal) > 4:
        shown = (f"{len(nominal)} classes", f"p = {rule['p_value']:.2f}", "chi-square")
    elif isinstance(nominal, list):
        reach = max(a - b for a, b in zip(high, observed, strict=True))
        shown = (_many(nominal), _many(observed), f"{reach:.4f}")
    elif observed is None:
        shown = (f"{nominal:.4f}", "nothing seen", "")
    else:
        shown = (f"{nominal:.4f}", f"{observed:.4f}", f"{high - observed:.4f}")
    return "| " + " | ".join([rule["name"], *shown, f"{rule['draws']:,}", verdict]) + " |"


def _exact(rules: list[dict[str, Any]]) -> list[str]:
    """One sentence for all rules that know no chance, and one for each that is broken."""
    sound = [rule["name"].rpartition(": ")[2] for rule in rules if rule["holds"]]
    lines = []
    if sound:
        most, names = max(rule["draws"] for rule in rules), "; ".join(dict.fromkeys(sound))
        lines = [f"Never, in up to {most:,} values: {names}."]
    wrong = [rule for rule in rules if not rule["holds"]]
    return lines + [f"**Broken**: {rule['name']} ({rule['draws']:,} values)." for rule in wrong]


def _many(values: list[float]) -> str:
    return " / ".join(f"{value:.4f}" for value in values)


def renewed(text: str, audits: Sequence[dict[str, Any]]) -> str:
    """A page with these presets' lines and sections put in place of theirs, all in their order."""
    head, *old = re.split(r"(?m)^(?=\n## `)", text)
    rows = {row[4 : row.index("`]")]: row for row in head.splitlines() if row.startswith("| [`")}
    sections = {part.split("`")[1]: part for part in old}
    for audit in audits:
        rows[audit["objective"]] = _overview(audit)
        sections[audit["objective"]] = _section(audit)
    intro = head[: head.index("| [`")]
    kept = sorted(set(sections) & set(presets()))
    return intro + "\n".join(rows[k] for k in kept) + "\n" + "".join(sections[k] for k in kept)


def main(argv: Sequence[str]) -> int:
    """Audit every preset and write the page; argv: names of presets, to renew only their sections,
    and overrides for all of them. Returns 0, or 4 if a rule is broken somewhere."""
    named = [word for word in argv if "=" not in word]
    if unknown := set(named) - set(presets()):
        print(f"{sorted(unknown)} are no objectives; there are {', '.join(presets())}")
        return 2
    overrides = [word for word in argv if "=" in word]
    audits = [audited(name, overrides) for name in named or presets()]
    PAGE.parent.mkdir(exist_ok=True)
    whole = renewed(PAGE.read_text(encoding="utf-8"), audits) if named else page(audits)
    PAGE.write_text(whole, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0 if all(audit["holds"] for audit in audits) else 4


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
