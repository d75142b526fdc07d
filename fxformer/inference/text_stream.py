"""Text of sequences as their tokens arrive: pieces for a callback, ends at stop strings."""

from collections.abc import Callable, Sequence

import numpy as np

from fxformer.inference.model_core import ModelCore

OnText = Callable[[int, str], None]  # (number of the sequence, next piece of its text)
UNFINISHED = "\ufffd"  # decoded from bytes that are no character yet


class TextStream:
    """Receives the latest token of each row, sends new text on, and ends rows at stop strings.

    prompts: of each prompt of a batch; its text precedes what is generated, since a token may
        decode to another text at the beginning of a text
    numbers: of each prompt among all
    stops: stop strings
    on_text: called with (number of the sequence, next piece), without special tokens
    returned: sequences of each prompt
    """

    def __init__(
        self,
        model: ModelCore,
        prompts: Sequence[np.ndarray],
        numbers: Sequence[int],
        stops: tuple[str, ...],
        on_text: OnText | None,
        returned: int,
    ):
        self.model, self.stops, self.on_text = model, stops, on_text
        continued = model.architecture == "decoder"
        given = [prompt if continued else prompt[:0] for prompt in prompts]
        self.prompts = [prompt for prompt in given for _ in range(returned)]
        self.numbers = [n * returned + r for n in numbers for r in range(returned)]
        self.before = [self._decode(prompt) for prompt in self.prompts]
        self.ids: list[list[int]] = [[] for _ in self.prompts]
        self.sent = [0 for _ in self.prompts]  # characters

    @property
    def needed(self) -> bool:
        """Whether the rows must be followed token by token."""
        return bool(self.stops) or self.on_text is not None

    def __call__(self, tokens: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Which rows shall end. tokens: latest of each row [B]; present: rows it belongs to [B]."""
        ended = np.zeros(len(tokens), bool)
        for row in np.flatnonzero(present).tolist():
            self.ids[row].append(int(tokens[row]))
            text = self.text_of(row, np.array(self.ids[row], np.int32))
            ended[row] = any(stop in text for stop in self.stops)
            self._send(row, text[: len(text) - self._held(text)])
        return ended

    def text_of(self, row: int, ids: np.ndarray) -> str:
        """Text of the generated ids of a row, as it continues the prompt."""
        if self.model.tokenizer is None:
            return ""
        before = self.before[row]
        whole = self._decode(np.concatenate([self.prompts[row], ids]).astype(np.int32))
        return whole[len(before) :] if whole.startswith(before) else self._decode(ids)

    def finish(self, texts: Sequence[str]) -> None:
        """Send the rest of each text."""
        for row, text in enumerate(texts):
            self._send(row, text)

    def _send(self, row: int, text: str) -> None:
        text = cut_at_stop(text, self.stops)
        if self.on_text is not None and len(text) > self.sent[row]:
            self.on_text(self.numbers[row], text[self.sent[row] :])
            self.sent[row] = len(text)

    def _held(self, text: str) -> int:
        """Characters at the end that later tokens may change: unfinished ones."""
        return len(text) - len(text.rstrip(UNFINISHED))

    def _decode(self, ids: np.ndarray) -> str:
        tokenizer = self.model.tokenizer
        return "" if tokenizer is None else tokenizer.decode(ids)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """The text up to the end of the stop string that occurs first; all of it without one."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
