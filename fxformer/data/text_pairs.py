"""Pairs of texts: a target that knows the source text it is to be written from."""

from collections.abc import Iterable, Iterator


class SourceText(str):
    """The source of a pair, where sources and targets come in one stream."""


class Target(str):
    """A document that is the target of a pair."""

    source: str

    def __new__(cls, text: str, source: str):
        made = super().__new__(cls, text)
        made.source = source
        return made


def source_of(text: str) -> str | None:
    """The source of a text, or None."""
    return getattr(text, "source", None)


def both(texts: Iterable[str]) -> Iterator[str]:
    """All texts, each target after its source: what a tokenizer is trained on."""
    for text in texts:
        if (source := source_of(text)) is not None:
            yield SourceText(source)
        yield text
