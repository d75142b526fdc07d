"""What a run came to, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from fxformer.config.compatibility import architecture
from fxformer.data import overlap, round_trip
from fxformer.flops.peak import mesh_peak
from fxformer.objective.coverage import Coverage
from fxformer.track import formatting
from fxformer.track.evaluations import StoredEvaluation
from fxformer.track.summary import Sample
from fxformer.train.loop_state import LoopState
from fxformer.train.mixture_summary import mixture_lines
from fxformer.train.setup import Setup

MARGIN = 0.1  # nats under the loss of token frequencies that still count as reaching only that
RECIPES = {"encoder": "mlm_stdlib", "seq2seq": "denoise_stdlib"}  # learn visibly in minutes
SMALL_BATCH = 8192  # tokens of a step


def page(step: int, samples: Sequence[Sample]) -> str:
    """Samples as the text of samples.md."""
    lines = [f"# Step {step}"]
    for one in samples:
        lines += ["", f"read: {one.read}", "", f"wrote: {one.wrote}", "", f"truth: {one.truth}"]
    return "\n".join(lines) + "\n"


def work(setup: Setup, ended: LoopState, seconds: float) -> dict[str, float]:
    """{"flops_per_second", "mfu"}: model FLOPs (padding is no work) in `seconds` of training, and
    their share of what the devices can make at most; without what is not known."""
    if seconds <= 0 or not ended.totals.tokens:
        return {}
    pace = ended.totals.tokens * setup.flops_per_token / seconds
    peak = mesh_peak(setup.mesh, setup.cfg.precision.compute)
    return {"flops_per_second": pace} | ({} if peak is None else {"mfu": pace / peak[0]})


def plateau(setup: Setup, valid: Mapping[str, float]) -> list[tuple[str, str]]:
    """A line where a run ends with the loss that token frequencies alone give: it has not begun to
    use context, which a masked LM at first looks like for hundreds of steps."""
    guess, text = setup.data.facts["unigram_nats"], setup.data.facts["valid"]["bytes"]
    # synthetic and labelled tasks score answers, whose frequencies are not those of all tokens
    if not text or "nll" not in valid or valid["nll"] < guess - MARGIN:
        return []
    trials = ["more steps (trainer.steps)", "half or twice the optimizer.lr"]
    if setup.cfg.data.batch * setup.cfg.data.length < SMALL_BATCH:
        trials.append("a larger data.batch")
    worse = valid["nll"] > guess + MARGIN
    what = "worse than the frequencies" if worse else "little better than the frequencies"
    words = f"the model predicts {what} of tokens alone; try " + ", ".join(trials)
    recipe = RECIPES.get(architecture(setup.cfg) or "")
    other = recipe and recipe != OmegaConf.select(setup.cfg, "name")  # a recipe carries its name
    begin = [("", f"or begin with a recipe that learns: experiment={recipe}")] if other else []
    return [("", words), *begin]


def text(setup: Setup, train: Coverage, valid: Coverage | None) -> dict[str, Any]:
    """{"tokens_dropped": {split: {reason: tokens}}, "valid_pieces", "valid_pieces_missing"}: text
    that was not learned from, or not evaluated, and how many held-out pieces of text there are.

    train: of this attempt's batches; valid: of the last evaluation, None where there was none.
    """
    dropped = {}
    for split, seen in (("train", train), ("valid", valid)):
        left = setup.data.facts["packing"][split]["tokens_dropped"]
        dropped[split] = {"left out by the packing": left} if left else {}
        dropped[split] |= dict(seen.lost) if seen else {}
    pieces = {"valid_pieces": valid.pieces, "valid_pieces_missing": valid.missing} if valid else {}
    return {"tokens_dropped": dropped} | pieces


def facts(
    setup: Setup,
    ended: LoopState,
    done: dict[str, float],
    seen: dict[str, Any],
    evaluated: Mapping[str, StoredEvaluation],
) -> list[tuple[str, str]]:
    """The lines of the summary that are not about energy.

    done: as of `work`; seen: of `text`; evaluated: of a labelled task, by split
    """
    rows = [("ended", ended.reason)]
    known = evaluated.get("valid")
    intervals = known.scores if known is not None and ended.valid_results else {}
    if "loss" in ended.train:
        rows.append(("loss", f"{formatting.loss(ended.train['loss'])} in training"))
    if "loss" in ended.valid:
        words = f"{formatting.loss(ended.valid['loss'])} on held-out text"
        if ended.valid.get("nll", ended.valid["loss"]) != ended.valid["loss"]:
            words += f", nll {formatting.loss(ended.valid['nll'])}"
        lossy = round_trip.mark(setup.data.facts["valid"])
        accuracies = ("accuracy", "sentence_accuracy", "discriminator_accuracy")
        written = () if setup.generated is None else setup.generated.task.metric_names
        own = [n for n in (*setup.objective.metric_names, *written) if n not in accuracies]
        for name in ("perplexity", "bits_per_byte", *accuracies, *own):
            if name in ended.valid:
                number = intervals.get(name) or f"{ended.valid[name]:.3g}"
                words += f", {name.replace('_', ' ')} {number}"
                words += f" ({lossy})" if lossy and name == "bits_per_byte" else ""
        if pieces := seen.get("valid_pieces"):
            words += f", over {pieces - seen['valid_pieces_missing']:,} of {pieces:,} texts"
        rows.append(("", words))
        if (guess := setup.data.facts["unigram_nats"]) is not None:
            what = "tokens are" if setup.objective.needs_lm_head else "classes are"
            rows.append(("", f"{guess:.4f} for one that knows only how frequent {what}"))
        rows += plateau(setup, ended.valid)
    rows += evaluation_lines(evaluated)
    seconds = max(ended.totals.seconds, 1e-9)
    speed, waited = ended.totals.tokens / seconds, ended.totals.waited / seconds
    words = f"{formatting.count(speed)} tokens/s, {formatting.duration(seconds)}"
    if "flops_per_second" in done:
        words += f"; {formatting.si(done['flops_per_second'], 'FLOP/s')} while training"
    if "mfu" in done:
        words += f", {done['mfu']:.0%} of the peak (MFU)"
    rows.append(("speed", words))
    padding = setup.data.facts["packing"]["train"]["padding_share"]
    dropped = seen["tokens_dropped"]
    whole = "" if any(dropped.values()) else ", no text dropped"
    words = f"{padding:.1%} padding, {waited:.1%} of the time waited for{whole}"
    rows.append(("data", words))
    for split, reasons in dropped.items():
        for reason, tokens in reasons.items():
            rows.append(("dropped", f"{tokens:,} tokens of {split} text: {reason}"))
    rows += [("mixture", line) for line in mixture_lines(setup, ended.step, ended.valid)]
    return rows + [("", line) for line in corpus_notes(setup.data.facts)]


def evaluation_lines(evaluated: Mapping[str, StoredEvaluation]) -> list[tuple[str, str]]:
    """The scores of the test split, and what must be known of the scores of each split."""
    rows = []
    if test := evaluated.get("test"):
        words = f"{test.text}, over {test.examples:,} rows, with the weights of step {test.step}"
        rows.append(("test", words))
    said: dict[str, list[str]] = {}
    for split, one in evaluated.items():
        for remark in one.remarks:
            said.setdefault(remark, []).append(split)
    return rows + [("note", f"{', '.join(splits)}: {one}") for one, splits in said.items()]


def corpus_notes(facts: dict) -> list[str]:
    """What is to be known of a corpus of text: lossy round trips, overlap, what was skipped."""
    valid, lines = facts["valid"], []
    if mark := round_trip.mark(valid):
        trip = round_trip.of(valid)
        lines.append(
            f"the tokenizer is {mark}: {trip.exact} of {trip.documents} held-out documents come "
            "back exactly; bits per byte include an edit script for the rest"
        )
    if "overlap" in facts:
        lines.append(overlap.words(facts["overlap"]))
    kinds = {"files_empty": "empty files", "records_blank": "records without text"}
    if skipped := [f"{facts[key]} {kind}" for key, kind in kinds.items() if facts.get(key)]:
        lines.append(f"skipped: {', '.join(skipped)}")
    return lines
