"""What is said of the parts of a mixture of corpora, before training and after it."""

import warnings
from collections.abc import Mapping

from rich.console import Console

from fxformer.data.mixture import CorpusMixture
from fxformer.data.mixture_rows import MixedRows
from fxformer.track import formatting
from fxformer.train.setup import Setup


def mixture_lines(setup: Setup, steps: int, valid: Mapping[str, float] | None = None) -> list[str]:
    """Of each part its share, how often its text is read in so many steps, and its held-out loss;
    nothing for other corpora."""
    packed = setup.data.packed["train"]
    if not isinstance(setup.corpus, CorpusMixture) or not isinstance(packed, MixedRows):
        return []
    lines = []
    for name, words in setup.corpus.repeat_lines(packed, steps * setup.corpus.batch).items():
        loss = (valid or {}).get(f"loss_{name}")
        said = "" if loss is None else f", held-out loss {formatting.loss(loss)}"
        lines.append(f"{name}: {words}{said}")
    return lines


def tell_repeats(setup: Setup, console: Console) -> None:
    """Print how often the text of each part will be read, and warn where that is too often."""
    steps, packed = setup.trainer.steps, setup.data.packed["train"]
    if steps is None or not isinstance(packed, MixedRows):
        return
    for line in mixture_lines(setup, steps):
        console.print(f"mixture: {line}", highlight=False)
    if isinstance(setup.corpus, CorpusMixture):
        for words in setup.corpus.warnings(packed, steps * setup.corpus.batch):
            warnings.warn(words, stacklevel=2)
