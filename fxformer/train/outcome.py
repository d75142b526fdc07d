"""What a run came to, in words."""

from collections.abc import Sequence

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


def facts(setup: Setup, ended: Fit) -> list[tuple[str, str]]:
    """The lines of the summary that are not about energy."""
    rows = [("ended", ended.reason)]
    if "loss" in ended.train:
        rows.append(("loss", f"{plain.loss(ended.train['loss'])} in training"))
    if "loss" in ended.valid:
        words = f"{plain.loss(ended.valid['loss'])} on held-out text"
        if ended.valid.get("nll", ended.valid["loss"]) != ended.valid["loss"]:
            words += f", nll {plain.loss(ended.valid['nll'])}"
        accuracies = ("accuracy", "sentence_accuracy", "discriminator_accuracy")
        for name in ("perplexity", "bits_per_byte", *accuracies):
            if name in ended.valid:
                words += f", {name.replace('_', ' ')} {ended.valid[name]:.3g}"
        guess = setup.data.facts["unigram_nats"]
        alone = f"{guess:.4f} for one that knows only how frequent tokens are"
        rows += [("", words), ("", alone)]
    seconds = max(ended.totals.seconds, 1e-9)
    speed, waited = ended.totals.tokens / seconds, ended.totals.waited / seconds
    rows.append(("speed", f"{plain.count(speed)} tokens/s, {plain.clock(seconds)}"))
    padding = setup.data.facts["packing"]["train"]["padding_share"]
    rows.append(("data", f"{padding:.1%} padding, {waited:.1%} of the time waited for"))
    return rows
