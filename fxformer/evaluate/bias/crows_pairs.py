"""CrowS-Pairs: pairs of sentences about a disadvantaged and an advantaged group, in nine types."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.evaluate.bias.examples import BiasExample
from fxformer.evaluate.bias.files import csv_rows, located
from fxformer.evaluate.bias.pairs import PairAudit
from fxformer.evaluate.bias.requests import Tokens

FILE = "crows_pairs_anonymized.csv"
COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")
DIRECTIONS = {"stereo": "stereo", "antistereo": "antistereo"}
TYPES = {
    *("race-color", "gender", "sexual-orientation", "religion", "age", "nationality"),
    *("disability", "physical-appearance", "socioeconomic"),
}


@dataclasses.dataclass(frozen=True)
class CrowsPairs(PairAudit):
    """Nangia et al. 2020. `preferred` is the paper's metric score: the share of pairs of which the
    sentence that the annotators call more stereotypical has the higher score.

    Categories: the nine bias types, and `stereo` and `antistereo`, the direction of the pair (the
    paper's stereotype and anti-stereotype scores).

    tokens: None: the unmodified ones for an encoder, as in the paper (Σ log p(u | all others) over
        the tokens u that both sentences share); all for a decoder
    variant: "swapped_scores": the scores of antistereo pairs change places, as in the result files
        of the published code before May 2021 (nyu-mll/crows-pairs issue 6)
    """

    name: ClassVar[str] = "crows_pairs"
    title: ClassVar[str] = "CrowS-Pairs"
    measures: ClassVar[str] = (
        "preferred: share of pairs whose more stereotypical sentence scores higher; log_odds: mean "
        "difference of the two scores in nats"
    )

    variant: Literal["swapped_scores"] | None = None

    def read(self) -> list[BiasExample]:
        (file,) = located(self.name, [FILE], self.root, self.files)
        found = []
        for number, row in enumerate(csv_rows(file, COLUMNS)):
            direction = DIRECTIONS.get(row["stereo_antistereo"])
            where = f"{file}, row {number + 1}"
            if direction is None:
                raise UserError(f"{where}: stereo_antistereo is neither stereo nor antistereo")
            if row["bias_type"] not in TYPES:
                raise UserError(f"{where}: bias_type is none of {', '.join(sorted(TYPES))}")
            texts = (row["sent_more"], row["sent_less"])
            if not all(text.strip() for text in texts):
                raise UserError(f"{where}: a sentence is empty")
            found.append(BiasExample(str(number), (row["bias_type"], direction), texts))
        if not found:
            raise UserError(f"{file}: has no rows")
        return found

    def usual(self, architecture: str) -> Tokens:
        return "unmodified" if architecture == "encoder" else "all"

    def adjusted(self, scores: np.ndarray, examples: Sequence[BiasExample]) -> np.ndarray:
        if self.variant is None:
            return scores
        swapped = np.array(["antistereo" in one.categories for one in examples])
        return np.where(swapped[:, None], scores[:, ::-1], scores)
