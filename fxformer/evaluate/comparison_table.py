"""The table of `fxformer compare`."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer.data.round_trip import percent
from fxformer.evaluate.equal_cost import short
from fxformer.evaluate.scores import RatioEstimate
from fxformer.track import formatting
from fxformer.track.run_reader import name_of

_UNITS = {"joules": "J", "flops": "FLOP", "tokens": "tokens", "seconds": "s", "step": "steps"}


def show(compared, console: Console) -> None:
    """A row for each run, and what the columns mean."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("run", overflow="fold")
    probed = compared.task is not None
    for name in ("infill", "follow", "pseudo", *(("probe", "untrained") if probed else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for run, _, scores in compared.runs:
        bits = [_bits(scores.infill), _bits(scores.follow), _bits(scores.pseudo)]
        bits[0] += "*" if scores.blind else ""
        if scores.lossy:
            bits = [cell if cell == "–" else f"{cell}†" for cell in bits]
        shares = [_share(scores.probe), _share(scores.untrained)] if probed else []
        table.add_row(*(Text(cell) for cell in (_name(run), *bits, *shares)))
    console.print(table)
    for line in [*_spent(compared), "", *_notes(compared)]:
        console.print(Text(line, style="dim"))


def _name(run) -> str:
    return formatting.safe(name_of(run.id))


def _spent(compared) -> list[str]:
    """What each checkpoint had cost."""
    head = f"at no more than {formatting.si(compared.budget)} {_UNITS[compared.unit]} each:"
    if not compared.equal:
        head = (
            f"NOT at equal {compared.unit}: a run kept no checkpoint of "
            f"{formatting.si(compared.budget)} {_UNITS[compared.unit]} or less, so each stands at "
            "its final one:"
        )
    lines = ["", head]
    for run, spent, _ in compared.runs:
        line = (
            f"{_name(run)}: step {spent.step}, {formatting.count(spent.tokens)} tokens, "
            f"{formatting.si(spent.flops, 'FLOP')}, {formatting.si(spent.joules, 'J')}"
        )
        if left := short(spent, compared.budget, compared.unit):
            line += (
                f" ({1 - left:.0%} of the budget; it kept no checkpoint nearer: "
                "trainer.save_every, trainer.keep_checkpoints)"
            )
        if not compared.equal and compared.budget:
            line += f" ({getattr(spent, compared.unit) / compared.budget:.3g} times the least)"
        lines.append(line)
    return lines


def _notes(compared) -> list[str]:
    missing = f" ({compared.left_out} left out)" if compared.left_out else ""
    notes = [
        f"Bits per byte ± one standard error, of the same words in {compared.passages} passages of "
        f"held-out text{missing}.",
        "infill: given both sides (*: it reads the left one only). follow: given the left side. "
        "pseudo: each token given all others, which is no probability of the words. "
        "A masked LM is told how many tokens are missing.",
    ]
    if compared.share < 1:
        notes.append(
            f"The runs split the text differently; only what all of them hold out is asked for, "
            f"{compared.share:.1%} of what the first holds out."
        )
    lossy = [
        f"{_name(run)} lossy: {percent(scores.lossy)} of the bytes"
        for run, _, scores in compared.runs
        if scores.lossy
    ]
    if lossy:
        notes.append(
            f"†: {'; '.join(lossy)}. What the tokenizer does not give back is charged as an edit "
            "script, 8 bits for each missing byte and the entropy of where they are."
        )
    if compared.task is not None:
        notes.append(
            f"probe: accuracy of a linear probe on frozen features ({compared.task}); untrained: "
            f"of the same model before training; the commonest label: {100 * compared.guess:.1f} %."
        )
    return notes


def _bits(one: RatioEstimate | None) -> str:
    return "–" if one is None else f"{one.value:.2f} ± {one.error:.2f}"


def _share(one: RatioEstimate | None) -> str:
    return "–" if one is None else f"{100 * one.value:.0f} ± {100 * one.error:.0f} %"
