"""Attention rollout and flow: answers worked out by hand, and minimum cuts counted one by one."""

import itertools

import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.inference.attention import Attention
from fxformer.inference.interpret.influence import (
    MAX_FLOW_TOKENS,
    InfluenceGraph,
    flow_of,
    rollout_of,
)


def weights(layers: int, heads: int, queries: int, keys: int, seed: int = 0, causal: bool = False):
    drawn = np.random.default_rng(seed).random((layers, heads, queries, keys)) ** 3
    drawn = np.tril(drawn) if causal else drawn
    return (drawn / drawn.sum(-1, keepdims=True)).astype(np.float32)


def attention(kind, of) -> Attention:
    return Attention(kind, np.arange(of.shape[2]), 10 + np.arange(of.shape[3]), of)


def test_rollout_of_two_layers_by_hand():
    """The second layer exchanges two tokens, the first lets both read the first."""
    first, second = [[1, 0], [1, 0]], [[0, 1], [1, 0]]
    of = np.array([first, second], np.float32)[:, None]
    (found,) = rollout_of([attention("encoder", of)])
    lower = [[1, 0], [0.5, 0.5]]
    np.testing.assert_allclose(found.weights[0], lower)
    np.testing.assert_allclose(found.weights[1], [[0.75, 0.25], [0.75, 0.25]])
    (plain,) = rollout_of([attention("encoder", of)], residual=0)
    np.testing.assert_allclose(plain.weights[1], np.array(second) @ np.array(first))


def test_flow_of_two_layers_by_hand():
    """A position of the last layer reaches both positions below by edges of 0.5; the lower one lets
    through 1 from position 0 to token 0, and 0.5 from position 1 to each token."""
    first, second = [[1, 0], [1, 0]], [[0, 1], [1, 0]]
    of = np.array([first, second], np.float32)[:, None]
    np.testing.assert_allclose(
        InfluenceGraph.of_stack(of, 0.5).flow(), [[1, 0.5], [1, 0.5]], atol=1e-7
    )
    (found,) = flow_of([attention("encoder", of)])
    np.testing.assert_allclose(found.weights[0], [[2 / 3, 1 / 3]] * 2, atol=1e-7)


def test_heads_are_averaged_and_uniform_attention_stays_uniform():
    one, other = np.eye(4, dtype=np.float32), np.full((4, 4), 0.25, np.float32)
    (found,) = rollout_of([attention("encoder", np.stack([one, other])[None])])
    np.testing.assert_allclose(found.weights[0], 0.75 * one + 0.25 * other, atol=1e-7)
    (flat,) = rollout_of([attention("encoder", other[None, None])], residual=0)
    np.testing.assert_allclose(flat.weights[0], 0.25)


def minimum_cut(graph: InfluenceGraph, source: int, sink: int) -> float:
    """The least capacity from a set of nodes with the source to the others with the sink."""
    starts = np.concatenate([[0], np.cumsum(graph.sizes)])
    capacity = np.zeros((starts[-1], starts[-1]))
    for group, below in graph.edges.items():
        for other, matrix in below.items():
            rows, columns = (slice(starts[g], starts[g + 1]) for g in (group, other))
            capacity[rows, columns] = matrix
    rest = [node for node in range(int(starts[-1])) if node not in (source, sink)]
    least = np.inf
    for chosen in itertools.product([False, True], repeat=len(rest)):
        inside = np.zeros(len(capacity), bool)
        inside[source], inside[rest] = True, chosen
        least = min(least, capacity[inside][:, ~inside].sum())
    return least


def test_flow_is_the_minimum_cut():
    graph = InfluenceGraph.of_stack(weights(2, 2, 3, 3), 0.5)
    flow = graph.flow()
    for query, key in itertools.product(range(3), range(3)):
        assert flow[query, key] == pytest.approx(minimum_cut(graph, 6 + query, key), abs=1e-6)


def test_an_encoder_decoder_draws_on_both_texts():
    encoder, own = weights(2, 2, 3, 3, 1), weights(1, 2, 2, 2, 2, causal=True)
    cross = weights(1, 2, 2, 3, 3)
    given = [
        attention(*pair) for pair in (("encoder", encoder), ("decoder", own), ("cross", cross))
    ]
    of_source, of_both = rollout_of(given)
    assert (of_both.kind, of_both.source, of_both.keys.tolist()) == (
        "decoder",
        3,
        [10, 11, 12, 10, 11],
    )
    np.testing.assert_allclose(of_both.weights.sum(-1), 1)
    attended = 0.5 * cross[0].mean(0) @ of_source.weights[-1]
    kept = 0.5 * (0.5 * own[0].mean(0) + 0.5 * np.eye(2))
    np.testing.assert_allclose(of_both.weights[0], np.hstack([attended, kept]), atol=1e-6)
    _, flow = flow_of(given)
    assert flow.weights.shape == (1, 2, 5) and flow.weights[0, 0, 4] == 0  # no later token
    graph = InfluenceGraph.of_stack(encoder[1:], 0.5).with_decoder(own, cross, 0.5)
    found = graph.flow()
    for query, (column, node) in itertools.product(range(2), enumerate([0, 1, 2, 6, 7])):
        wanted = minimum_cut(graph, 10 + query, node)
        assert found[query, column] == pytest.approx(wanted, abs=1e-6)


def test_long_texts_and_wrong_shares_are_refused():
    long = np.full((1, 1, MAX_FLOW_TOKENS + 1, MAX_FLOW_TOKENS + 1), 1e-2, np.float32)
    with pytest.raises(UserError, match="129 tokens exceed the limit of 128"):
        flow_of([attention("encoder", long)])
    with pytest.raises(UserError, match="residual: expected a share"):
        rollout_of([attention("encoder", long)], residual=1)
