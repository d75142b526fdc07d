"""A piece of text before and after corruption, token by token, with what became of each."""

import dataclasses
import difflib
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.data.tokenizer import Tokenizer
from fxformer.track import formatting

Fate = Literal["same", "removed", "mask", "new", "special"]
READABLE = 48  # tokens; pieces of about this length are shown


@dataclasses.dataclass(frozen=True)
class Example:
    """Lines of (what, spans); a span is (text, its fate).

    text: what there was; removed are the tokens that the model does not read there
    reads: what the model (its encoder, if it has one) reads; new are tokens the text had not
    writes: the targets that count; new are those the model does not read
    """

    lines: tuple[tuple[str, tuple[tuple[str, Fate], ...]], ...]

    def plain(self) -> dict[str, str]:
        """{what: the whole line as text}."""
        return {what: "".join(text for text, _ in spans).strip() for what, spans in self.lines}


def examples(rows: Rows, batch: Batch, tokenizer: Tokenizer, number: int) -> tuple[Example, ...]:
    """Some pieces of the rows, those of about READABLE tokens first."""
    found = []
    for row, segment in _pieces(rows):
        old, new, answer = _ids(rows, batch, row, segment)
        if len(found) == number:
            break
        if len(old) and len(new):
            found.append(_example(old, new, answer, tokenizer, batch.picked is not None))
    return tuple(found)


def _pieces(rows: Rows) -> list[tuple[int, int]]:
    """(row, segment) of all pieces, the most readable first."""
    keys = np.stack([np.indices(rows.segments.shape)[0], rows.segments])[:, rows.segments > 0]
    pieces, lengths = np.unique(keys, axis=1, return_counts=True)
    order = np.argsort(np.abs(lengths - READABLE), kind="stable")
    return [(int(row), int(segment)) for row, segment in pieces[:, order].T]


def _ids(rows: Rows, batch: Batch, row: int, segment: int) -> tuple[list, list, list]:
    """What the piece was, what is read, and what is to be written. Lists of ids."""
    old, old_segments = rows.tokens, rows.segments
    if rows.source is not None and rows.source_segments is not None:
        old, old_segments = rows.source, rows.source_segments
    new, new_segments = batch.tokens, batch.segments
    if batch.source is not None and batch.source_segments is not None:
        new, new_segments = batch.source, batch.source_segments
    targets, counts = np.asarray(batch.targets)[row], np.asarray(batch.weights)[row] > 0
    here = np.asarray(batch.segments)[row]
    here = here if batch.picked is None else here[np.asarray(batch.picked)[row]]
    if here.shape == counts.shape:
        counts = counts & (here == segment)
    return (
        old[row][old_segments[row] == segment].tolist(),
        np.asarray(new)[row][np.asarray(new_segments)[row] == segment].tolist(),
        targets[counts].tolist(),
    )


def _example(old: list, new: list, answer: list, tokenizer: Tokenizer, picked: bool) -> Example:
    """picked: the answer is tokens from here and there, not a text."""
    kept, still = matched(old, new)
    unlike = picked or tokenizer.source is not None  # of two vocabularies: no id says the same
    read = [False] * len(answer) if unlike else matched(new, answer)[1]
    source = tokenizer.of_source
    words = source.vocabulary
    fates = {
        "text": ["same" if here else "removed" for here in kept],
        "reads": [
            "mask" if token == words.mask else "same" if here else "new"
            for token, here in zip(new, still, strict=True)
        ],
        "writes": ["same" if here else "new" for here in read],
    }
    sides = ((old, source), (new, source), (answer, tokenizer))
    lines = [
        (what, _spans(ids, fates[what], one)) for what, (ids, one) in zip(fates, sides, strict=True)
    ]
    if picked:
        apart = (_spans([token], ["new"], tokenizer)[0][0].strip() for token in answer)
        lines[-1] = ("writes", ((" · ".join(apart), "new"),))
    return Example(tuple(lines))


def matched(old: Sequence[int], new: Sequence[int]) -> tuple[list[bool], list[bool]]:
    """Which tokens of either have their counterpart in the other. Of equally long texts that agree
    in half of their places, the place decides; otherwise the longest common runs."""
    same = [a == b for a, b in zip(old, new, strict=False)]
    if len(old) == len(new) and 2 * sum(same) >= len(old):
        return same, same
    left, right = [False] * len(old), [False] * len(new)
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    for i, j, size in blocks:
        left[i : i + size] = right[j : j + size] = [True] * size
    return left, right


def _spans(ids: list, fates: list, tokenizer: Tokenizer) -> tuple[tuple[str, Fate], ...]:
    """Runs of one fate decoded together: a letter may be several tokens."""
    words, spans = tokenizer.vocabulary, []
    marked = [
        ("special" if words.special[token] and fate == "same" else fate, token)
        for token, fate in zip(ids, fates, strict=True)
    ]
    for (fate, special), run in itertools.groupby(marked, lambda m: (m[0], words.special[m[1]])):
        run = np.array([token for _, token in run], np.int32)
        if special:
            text = "".join(f" {named(token, words)}" for token in run.tolist())
        else:
            text = tokenizer.decode(run)
            text = " " + text if words.starts_word[run[0]] and not text[:1].isspace() else text
        spans.append((formatting.safe(text), fate))
    return tuple(spans)


def named(token: int, words: Vocabulary) -> str:
    """<mask>, <eos>, <sentinel 3> …: what a special token is called in `Vocabulary`."""
    if token in words.sentinels:
        return f"<sentinel {words.sentinels.index(token)}>"
    if token in words.codes:
        return f"<code {words.codes.index(token)}>"
    for name in ("mask", "bos", "eos", "pad", "unk"):
        if getattr(words, name) == token:
            return f"<{name}>"
    return f"<special {token}>"
