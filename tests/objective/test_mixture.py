"""A mixture: shares, rows as their own objective makes them, shapes, and how it can be broken."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from flax import nnx

from fxformer.data.documents import Documents, join
from fxformer.data.packing import Segments, Template
from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.causal import CausalLM
from fxformer.objective.coverage import Coverage
from fxformer.objective.denoise import DenoisingLM
from fxformer.objective.fim import FillInTheMiddle
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.tokens import Independent
from fxformer.objective.mixture import Mixture, Share, spread
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.prefix import PrefixLM
from fxformer.objective.span_corruption import SpanCorruption

DECODER = [Share(CausalLM), Share(PrefixLM, 2.0), Share(FillInTheMiddle)]
ENCODER = [Share(MaskedLM), Share(functools.partial(MaskedLM, masking=Independent(0.3)))]
SEQ2SEQ = [
    Share(SpanCorruption),
    Share(functools.partial(DenoisingLM, noises=[TextInfilling()])),
]
KINDS = [("decoder", DECODER), ("encoder", ENCODER), ("seq2seq", SEQ2SEQ)]


@pytest.fixture
def mix(toy, marked):
    def make(architecture, parts, objective=Mixture):
        return objective(toy(architecture), parts=parts, vocabulary=marked, rngs=nnx.Rngs(0))

    return make


@pytest.fixture(scope="module")
def many(pack):
    """More rows than the corpus has, so that shares can be told."""
    return [
        pack([[(64 * b + r, 40), (9000 + 64 * b + r, 20)] for r in range(64)], 64)
        for b in range(15)
    ]


class Tilted(Mixture):
    """Broken: draws with other weights."""

    def which(self, rows, pieces):
        return np.minimum(super().which(rows, pieces) * 2, len(self.shares) - 1)


@pytest.mark.parametrize("architecture, parts", KINDS)
def test_the_checks_hold(architecture, parts, mix, many, broken):
    made = mix(architecture, parts)
    pairs = [(rows, made.corrupt(rows)) for rows in many]
    assert broken(objective_checks(made), pairs) == set()


def test_other_shares_are_seen(mix, many, broken):
    made = mix("decoder", DECODER, Tilted)
    pairs = [(rows, made.corrupt(rows)) for rows in many]
    assert "shares of the objectives" in broken(objective_checks(made), pairs)


@pytest.mark.parametrize("field", ["tokens", "targets", "weights", "prefix"])
def test_a_changed_row_is_seen(field, mix, many, broken):
    made = mix("decoder", DECODER)
    batch = made.corrupt(many[0])
    other = np.roll(getattr(batch, field), 1, axis=0)
    wrong = dataclasses.replace(batch, **{field: other})
    assert "pieces other than their objective makes" in broken(
        objective_checks(made), [(many[0], wrong)]
    )


@pytest.mark.parametrize("architecture, parts", KINDS)
def test_the_shapes_are_those_of_every_batch(architecture, parts, mix, many, pack):
    made = mix(architecture, parts)
    few = pack([[(0, 40)]] * 64, 64)  # all rows under one objective

    def shapes(batch):
        return jax.tree.map(np.shape, batch)

    assert shapes(made.corrupt(few)) == shapes(made.corrupt(many[0]))


def test_the_sums_are_those_of_the_parts(mix, many, marked):
    made = mix("decoder", DECODER)
    rows = many[0]
    total, weight = made(made.corrupt(rows))["loss"]
    sums = np.zeros(2)
    for share, mine in zip(DECODER, made.shared(rows), strict=True):
        part = share.objective(lambda **_: made.model, vocabulary=marked, rngs=nnx.Rngs(0))
        sums += [float(x) for x in part(part.corrupt(mine))["loss"]]
    np.testing.assert_allclose([total, weight], sums, rtol=1e-5)


def test_it_is_a_jit_key(mix):
    first, second = (nnx.split(mix("decoder", DECODER))[0] for _ in "ab")
    assert first == second and hash(first) == hash(second)
    other = [Share(CausalLM), Share(PrefixLM, 3.0), Share(FillInTheMiddle)]
    assert first != nnx.split(mix("decoder", other))[0]


def test_a_part_that_the_model_cannot_have_is_refused(mix):
    with pytest.raises(ValueError, match="CausalLM needs a decoder"):
        mix("encoder", [Share(CausalLM)])
    with pytest.raises(ValueError, match="objective.parts"):
        mix("encoder", [])


def said(batch, rows):
    """Of each example, what is read and written, in the order of its tokens."""
    found = {}
    full = spread(batch)
    names = ("tokens", "targets", "weights", "prefix", "source")
    for row in range(len(rows.segments)):
        for segment in np.unique(rows.segments[row][rows.segments[row] > 0]):
            example = int(rows.examples[row][rows.segments[row] == segment][0])
            here, parts = full.segments[row] == segment, []
            for name in names:
                array = getattr(full, name)
                if array is not None:
                    there = full.source_segments[row] == segment if name == "source" else here
                    parts.append(array[row][there].tolist())
            found[example] = parts
    return found


@pytest.mark.parametrize("architecture, parts", KINDS)
def test_what_becomes_of_a_piece_does_not_depend_on_its_row(architecture, parts, mix, pack):
    made = mix(architecture, parts)
    sizes = [(example, 10 + example % 23) for example in range(24)]
    apart = pack([[one] for one in sizes], 128)
    joined = pack([sizes[i : i + 3] for i in range(0, 24, 3)], 128)
    assert said(made.corrupt(apart), apart) == said(made.corrupt(joined), joined)
    assert made.tally.counts() == {}


def test_rows_packed_to_its_limits_lose_nothing(mix, text):
    made = mix("seq2seq", SEQ2SEQ)
    lengths = np.random.default_rng(0).integers(1, 30, 300)
    tokens, bounds = join([text(size + 2, i)[1:-1] for i, size in enumerate(lengths)])
    template = Template(0, np.array([2]), np.array([3]), 2, 3, limits=made.limits(128))
    packed = Segments()(Documents(tokens, bounds), 128, template)
    coverage = Coverage(made)
    for row in range(0, len(packed), 8):
        coverage(packed.rows(np.arange(row, min(row + 8, len(packed)))))
    assert coverage.pieces == (lengths > 1).sum() and not coverage.missing and not coverage.lost
    assert made.tally.counts() == {}
