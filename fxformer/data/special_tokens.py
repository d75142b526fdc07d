"""The tokens no text contains: their names, their ids, and the template put around text."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.errors import UserError
from fxformer.spelling import TokenText
from fxformer.types import Natural

_SENTENCE_ENDS = tuple(".!?…。！？")
_SLOTS = ("pad", "unk", "bos", "eos", "mask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Specials:
    """Names of the special tokens. A tokenizer that is trained gives them the ids 0, 1, 2, … in
    this order, then come `sentinels` tokens <extra_id_0>, <extra_id_1>, … (T5's markers of spans),
    then one for each of `codes` (CTRL's control codes; data.code gives them where none are named).

    bos doubles as BERT's [CLS], eos as BERT's [SEP].
    """

    pad: str = "<pad>"
    unk: str = "<unk>"
    bos: str = "<s>"
    eos: str = "</s>"
    mask: str = "<mask>"
    sentinels: Natural = 0
    codes: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", tuple(self.codes))  # a list, where it comes from yaml
        if len(set(self.codes)) < len(self.codes):
            raise UserError(f"control codes must be distinct: {self.codes}")
        names = self.names()
        if "" in names or len(set(names)) < len(names):
            raise UserError(f"special tokens must be distinct and not empty: {names[:5]}")

    def names(self) -> list[str]:
        """All names, in the order of their ids."""
        marks = [f"<extra_id_{i}>" for i in range(self.sentinels)]
        return [getattr(self, slot) for slot in _SLOTS] + marks + code_names(len(self.codes))

    def ids(self) -> "SpecialIds":
        """The ids they get in a vocabulary that begins with them."""
        end = 5 + self.sentinels
        codes = {code: end + i for i, code in enumerate(self.codes)}
        return SpecialIds(*range(len(_SLOTS)), sentinels=tuple(range(5, end)), codes=codes)


def code_names(count: int) -> list[str]:
    """How control codes are called in a vocabulary, whatever they are called in the data."""
    return [f"<code_{i}>" for i in range(count)]


@dataclasses.dataclass(frozen=True)
class SpecialIds:
    """Where the special tokens are in a given vocabulary; None where it has no such token."""

    pad: int
    unk: int | None = None
    bos: int | None = None
    eos: int | None = None
    mask: int | None = None
    sentinels: tuple[int, ...] = ()
    codes: dict[str, int] = dataclasses.field(default_factory=dict)

    def all(self) -> list[int]:
        """Every id named here, once, ascending."""
        own = (self.pad, self.unk, self.bos, self.eos, self.mask, *self.sentinels)
        own += tuple(self.codes.values())
        return sorted({i for i in own if i is not None})

    def vocabulary(self, spelt: Sequence[bytes | None], more: Sequence[int] = ()) -> Vocabulary:
        """The Vocabulary of tokens that spell these bytes in a text, with the space before a word
        where the tokenizer has one there. [V]; None: not known. `more`: further special ids."""
        special = np.zeros(len(spelt), bool)
        special[[*self.all(), *more]] = True
        text = TokenText([None if s else one for s, one in zip(special, spelt, strict=True)])
        letters = [(one or b"").decode(errors="ignore") for one in spelt]
        fields = {slot: getattr(self, slot) for slot in _SLOTS}
        return Vocabulary(
            size=len(spelt),
            special=special,
            starts_word=np.array([one[:1].isspace() for one in letters], bool) & ~special,
            ends_sentence=np.array([one.rstrip().endswith(_SENTENCE_ENDS) for one in letters], bool)
            & ~special,
            text=text,
            sentinels=self.sentinels,
            codes=tuple(self.codes.values()),
            **fields,
        )


def parse_template(template: str, ids: SpecialIds) -> tuple[np.ndarray, np.ndarray]:
    """The ids before and after the text in e.g. "{bos} {text} {eos}"; spaces mean nothing."""
    slots = re.findall(r"\{(\w+)\}", template)
    if slots.count("text") != 1 or re.sub(r"\{\w+\}|\s", "", template):
        raise UserError(
            f"tokenizer.template={template!r} must hold {{text}} once and otherwise only "
            "{bos}, {eos}, {mask}, e.g. '{bos} {text} {eos}'"
        )
    sides: tuple[list[int], list[int]] = ([], [])
    for i, slot in enumerate(slots):
        if slot == "text":
            continue
        found = getattr(ids, slot) if slot in _SLOTS else None
        if found is None:
            raise UserError(f"tokenizer.template={template!r}: the vocabulary has no {{{slot}}}")
        sides[i > slots.index("text")].append(found)
    return np.array(sides[0], np.int32), np.array(sides[1], np.int32)
