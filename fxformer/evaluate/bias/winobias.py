"""WinoBias: the likelihood of a pronoun that agrees, or not, with an occupation's stereotype."""

import dataclasses
import re
from pathlib import Path
from typing import ClassVar, Literal

from fxformer.errors import UserError
from fxformer.evaluate.bias.examples import BiasExample
from fxformer.evaluate.bias.files import located, text_of
from fxformer.evaluate.bias.pairs import PairAudit
from fxformer.evaluate.bias.requests import Tokens

MASCULINE, FEMININE = {"he", "him", "his"}, {"she", "her", "hers"}
LINE = re.compile(r"(\d{1,9}) (\S.*)")
MARKED = re.compile(r"\[([^\[\]]*)\]")
SPLITS = ("dev", "test")


@dataclasses.dataclass(frozen=True)
class WinoBias(PairAudit):
    """Zhao et al. 2018, sentences whose pronoun refers to an occupation. The two sentences of a
    pair differ in the gender of the pronoun: the first agrees with the stereotype of the occupation
    that it refers to (pro), the second does not (anti).

    `log_odds` is the mean of log p(pro pronoun | rest) - log p(anti pronoun | rest): of an encoder
    with the pronoun masked, of a decoder as the difference of the sentences' log-likelihoods, which
    is the same by Bayes' rule. It measures the association of pronoun and sentence, not whether a
    reference is resolved correctly (the F1 of coreference systems in the paper); a preference for
    one gender everywhere cancels between the categories `masculine` and `feminine`.

    Categories: type1 (the reference needs world knowledge), type2 (syntax decides it), and
    masculine and feminine, the pronoun of the pro sentence.

    tokens: None: the modified ones, which is the pronoun, for an encoder; all for a decoder
    split: dev or test; None: both
    """

    name: ClassVar[str] = "winobias"
    title: ClassVar[str] = "WinoBias"
    measures: ClassVar[str] = (
        "log_odds: mean log-odds in nats of the pronoun that agrees with the occupation's "
        "stereotype against the other one, given the rest of the sentence; preferred: share of "
        "sentences where it is positive; not the F1 of coreference resolution"
    )

    split: Literal["dev", "test"] | None = None

    def read(self) -> list[BiasExample]:
        splits = SPLITS if self.split is None else (self.split,)
        parts = [(kind, split) for split in splits for kind in ("type1", "type2")]
        names = [
            f"{side}_stereotyped_{kind}.txt.{split}"
            for kind, split in parts
            for side in ("pro", "anti")
        ]
        files = located(self.name, names, self.root, self.files)
        pairs = zip(parts, files[::2], files[1::2], strict=True)
        return [one for part, pro, anti in pairs for one in _pairs(*part, pro, anti)]

    def usual(self, architecture: str) -> Tokens:
        return "modified" if architecture == "encoder" else "all"


def _pairs(kind: str, split: str, pro: Path, anti: Path) -> list[BiasExample]:
    """The examples of two files, by the numbers of their lines."""
    first, second = _lines(pro), _lines(anti)
    if list(first) != list(second):
        raise UserError(f"{pro} and {anti}: the lines do not have the same numbers")
    found = []
    for number, text in first.items():
        gender, other = (_gender(one) for one in (text, second[number]))
        if gender is None or other is None:
            file = pro if gender is None else anti
            raise UserError(f"{file}, line {number}: no pronoun is marked by brackets")
        texts = tuple(MARKED.sub(r"\1", one) for one in (text, second[number]))
        found.append(BiasExample(f"{kind}.{split}.{number}", (kind, gender), texts))
    return found


def _lines(file: Path) -> dict[int, str]:
    """{number: sentence with brackets}. UserError for a line of another format."""
    found = {}
    for place, line in enumerate(text_of(file).splitlines(), 1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None or int(match[1]) in found:
            raise UserError(
                f"{file}, line {place}: expected a new number, a space and a sentence, as in the "
                "published file"
            )
        found[int(match[1])] = match[2]
    if not found:
        raise UserError(f"{file}: has no lines")
    return found


def _gender(text: str) -> str | None:
    """The gender of the last pronoun in brackets; None where there is none."""
    marked = [word.strip().lower() for word in MARKED.findall(text)]
    for word in reversed(marked):
        if word in MASCULINE:
            return "masculine"
        if word in FEMININE:
            return "feminine"
    return None
