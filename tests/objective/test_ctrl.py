"""Control codes: first, read and never predicted; what breaks each check; refusals."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.ctrl import ControlledLM
from tests.objective.conftest import BOS

CODES = (200, 201)


@pytest.fixture(scope="module")
def coded(vocabulary):
    """The ids of `vocabulary` and two control codes behind them."""
    fields = {
        name: np.append(getattr(vocabulary, name), np.full(2, name == "special"))
        for name in ("special", "starts_word", "ends_sentence")
    }
    return dataclasses.replace(vocabulary, size=202, codes=CODES, **fields)


def with_codes(rows):
    tokens = np.where(rows.tokens == BOS, 200 + rows.examples % 2, rows.tokens).astype(np.int32)
    return dataclasses.replace(rows, tokens=tokens)


@pytest.fixture(scope="module")
def texts(corpus):
    return [with_codes(rows) for rows in corpus]


def test_the_checks_hold(build, coded, texts, broken):
    made = build(ControlledLM, words=coded)
    assert broken(objective_checks(made), [(rows, made.corrupt(rows)) for rows in texts]) == set()


def no_target(batch):
    return batch.replace(weights=batch.weights * ~np.isin(batch.tokens, CODES))


def everything(batch):
    """Broken: the code of the next piece is a target too."""
    return batch.replace(
        targets=np.roll(batch.tokens, -1, 1), weights=(batch.segments > 0).astype(np.float32)
    )


def without(batch):
    return batch.replace(tokens=np.where(batch.tokens == 200, BOS, batch.tokens))


def inside(batch):
    return batch.replace(tokens=np.where(batch.tokens == 77, 201, batch.tokens))


@pytest.mark.parametrize(
    "corrupt_with, check",
    [
        (no_target, "codes without the text's first token as target"),
        (everything, "control codes as targets"),
        (without, "pieces that do not begin with their one control code"),
        (inside, "pieces that do not begin with their one control code"),
    ],
)
def test_a_broken_rule_breaks_its_check(corrupt_with, check, build, coded, texts, broken):
    made = build(ControlledLM, words=coded)
    assert check in broken(
        objective_checks(made), [(rows, corrupt_with(made.corrupt(rows))) for rows in texts]
    )


def test_the_code_is_read_and_the_first_word_asked_for(build, coded, pack):
    rows = with_codes(pack([[(1, 4), (2, 3)]], 8))
    batch = build(ControlledLM, words=coded).corrupt(rows)
    assert batch.tokens[0, [0, 4]].tolist() == [201, 200]
    assert batch.weights[0].tolist() == [1, 1, 1, 0, 1, 1, 0]


def test_data_without_codes_are_refused_with_what_to_write(build, vocabulary, coded, pack):
    with pytest.raises(ValueError, match=r"write data\.code=FIELD .* or objective=clm"):
        build(ControlledLM, words=vocabulary)
    with pytest.raises(ValueError, match="example 7 begins without a control code"):
        build(ControlledLM, words=coded).corrupt(pack([[(7, 5)]], 8))
