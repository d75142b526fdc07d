"""What a run came to, in words."""

from collections.abc import Sequence

from fxformer.data import overlap, round_trip
from fxformer.energy.peak import mesh_peak
from fxformer.track import plain
from fxformer.track.summary import Sample
from fxformer.train.running import Run as Fit
from fxformer.train.setup import Setup


def page(step: int, samples: Sequence[Sample]) -> str:
    """Samples as the text of samples.md."""
    lines = [f"# Step {step}"]
    for one in samples:
        lines += ["", f"read: {one.read}", "", f"wrote: {one.wrote}", "", f"truth: {one.truth}"]
    return "\n".join(lines) + "\n"


def work(setup: Setup, ended: Fit, seconds: float) -> dict[str, float]:
    """{"flops_per_second", "mfu"}: model FLOPs (padding is no work) in `seconds` of training, and
    their share of what the devices can make at most; without what is not known."""
    if seconds <= 0 or not ended.totals.tokens:
        return {}
    pace = ended.totals.tokens * setup.flops_per_token / seconds
    peak = mesh_peak(setup.mesh, setup.cfg.precision.compute)
    return {"flops_per_second": pace} | ({} if peak is None else {"mfu": pace / peak[0]})


def facts(setup: Setup, ended: Fit, done: dict[str, float]) -> list[tuple[str, str]]:
    """The lines of the summary that are not about energy. done: as of `work`"""
    rows = [("ended", ended.reason)]
    if "loss" in ended.train:
        rows.append(("loss", f"{plain.loss(ended.train['loss'])} in training"))
    if "loss" in ended.valid:
        words = f"{plain.loss(ended.valid['loss'])} on held-out text"
        if ended.valid.get("nll", ended.valid["loss"]) != ended.valid["loss"]:
            words += f", nll {plain.loss(ended.valid['nll'])}"
        lossy = round_trip.mark(setup.data.facts["valid"])
        accuracies = ("accuracy", "sentence_accuracy", "discriminator_accuracy")
        for name in ("perplexity", "bits_per_byte", *accuracies):
            if name in ended.valid:
                words += f", {name.replace('_', ' ')} {ended.valid[name]:.3g}"
                words += f" ({lossy})" if lossy and name == "bits_per_byte" else ""
        guess = setup.data.facts["unigram_nats"]
        alone = f"{guess:.4f} for one that knows only how frequent tokens are"
        rows += [("", words), ("", alone)]
    seconds = max(ended.totals.seconds, 1e-9)
    speed, waited = ended.totals.tokens / seconds, ended.totals.waited / seconds
    words = f"{plain.count(speed)} tokens/s, {plain.clock(seconds)}"
    if "flops_per_second" in done:
        words += f"; {plain.si(done['flops_per_second'], 'FLOP/s')} while training"
    if "mfu" in done:
        words += f", {done['mfu']:.0%} of the peak (MFU)"
    rows.append(("speed", words))
    padding = setup.data.facts["packing"]["train"]["padding_share"]
    rows.append(("data", f"{padding:.1%} padding, {waited:.1%} of the time waited for"))
    return rows + [("", line) for line in text(setup.data.facts)]


def text(facts: dict) -> list[str]:
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
