"""Attention rollout and attention flow: influence of input tokens on each position.

Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers". Both read a graph whose nodes
are the positions of every layer. An attention layer with its residual connection is an edge matrix
(1 - r) A + r I, A the mean of its heads and r = 0.5. Rollout multiplies the matrices; flow is the
maximum flow from a position of the last layer to an input token, the matrices being capacities.

The paper has encoders and decoders only. In an encoder-decoder, a layer of the decoder here is two
steps, self-attention and then cross-attention, whose edges (1 - r) C lead to the encoder's last
layer; so an output position draws on the input tokens of the source and of the target.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from fxformer.errors import UserError
from fxformer.inference.attention import Attention, Kind

UNITS = 1 << 28  # capacities are integers in units of 1 / UNITS
MAX_FLOW_TOKENS = 128  # input tokens; there is one maximum flow for each pair of tokens


@dataclasses.dataclass(frozen=True)
class Influence:
    """Influence of input tokens on the positions of a stack.

    kind: encoder or decoder, whose positions are the rows
    queries: token ids of the rows [T]
    keys: token ids of the columns [N]; of an encoder-decoder's decoder those of the source, then
        those of the target
    source: how many columns are of the source; 0: those of one text
    weights: rows sum to 1; of rollout one matrix for each layer, of flow [1, T, N] of the last
    """

    kind: Kind
    queries: np.ndarray
    keys: np.ndarray
    source: int
    weights: Float[np.ndarray, "L T N"]


@dataclasses.dataclass(frozen=True)
class InfluenceGraph:
    """Positions of each layer of a stack, and what they draw on.

    sizes: number of positions of each group; group 0 (and `source`) are input tokens
    edges: {group: {group below: matrix [positions, positions below]}}; rows of a group sum to 1
    outputs: the groups of each layer's output, first to last
    inputs: groups of input tokens, in the order of the columns
    """

    sizes: list[int]
    edges: dict[int, dict[int, Float[np.ndarray, "T S"]]]
    outputs: list[int]
    inputs: list[int]

    @classmethod
    def of_stack(cls, weights: Float[np.ndarray, "L H T T"], residual: float) -> "InfluenceGraph":
        """The graph of an encoder, or of a decoder without cross-attention."""
        layers, _, size, _ = weights.shape
        edges = {i + 1: {i: _mixed(weights[i], residual)} for i in range(layers)}
        return cls([size] * (layers + 1), edges, list(range(1, layers + 1)), [0])

    def with_decoder(
        self,
        own: Float[np.ndarray, "L H T T"],
        cross: Float[np.ndarray, "L H T S"],
        residual: float,
    ) -> "InfluenceGraph":
        """The graph of a decoder that reads this encoder."""
        top, first, size = self.outputs[-1], len(self.sizes), own.shape[2]
        edges, outputs, group = dict(self.edges), [], first
        for layer in range(len(own)):
            edges[group + 1] = {group: _mixed(own[layer], residual)}
            attended = (1 - residual) * _mean(cross[layer])
            edges[group + 2] = {group + 1: residual * np.eye(size), top: attended}
            group += 2
            outputs.append(group)
        sizes = self.sizes + [size] * (group + 1 - first)
        return InfluenceGraph(sizes, edges, outputs, [*self.inputs, first])

    def rollout(self) -> Float[np.ndarray, "L T N"]:
        """Share of each input token in each position of every layer: products of the matrices."""
        ends = np.cumsum([self.sizes[group] for group in self.inputs])
        found: dict[int, np.ndarray] = {}
        for group, end in zip(self.inputs, ends, strict=True):
            size = self.sizes[group]
            found[group] = np.eye(size, int(ends[-1]), int(end) - size)
        for group in sorted(self.edges):  # groups are numbered from the inputs up
            parts = [m @ found[below] for below, m in self.edges[group].items()]
            found[group] = np.sum(parts, axis=0)
        return np.stack([found[group] for group in self.outputs])

    def flow(self) -> Float[np.ndarray, "T N"]:
        """Maximum flow from each position of the last layer to each input token."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        rows, columns, capacities = [], [], []
        for group, below in self.edges.items():
            for other, matrix in below.items():
                row, column = np.nonzero(matrix)
                rows.append(row + starts[group])
                columns.append(column + starts[other])
                capacities.append(np.rint(matrix[row, column] * UNITS))
        size = (int(starts[-1]),) * 2
        where = (np.concatenate(rows), np.concatenate(columns))
        graph = csr_array((np.concatenate(capacities).astype(np.int32), where), size)
        top = self.outputs[-1]
        sinks = np.concatenate([starts[g] + np.arange(self.sizes[g]) for g in self.inputs])
        sources = starts[top] + np.arange(self.sizes[top])
        flows = [[maximum_flow(graph, int(a), int(b)).flow_value for b in sinks] for a in sources]
        return np.array(flows, np.float64) / UNITS


def rollout_of(found: Sequence[Attention], residual: float = 0.5) -> list[Influence]:
    """Attention rollout of every stack, from its attention weights.

    residual: share of the residual connection, 0 to 1
    """
    return [
        Influence(kind, queries, keys, source, graph.rollout())
        for kind, queries, keys, source, graph in _graphs(found, residual)
    ]


def flow_of(found: Sequence[Attention], residual: float = 0.5) -> list[Influence]:
    """Attention flow of every stack, each row divided by its sum, as in the authors' code.

    Raises UserError for more than MAX_FLOW_TOKENS input tokens.
    """
    made = []
    for kind, queries, keys, source, graph in _graphs(found, residual):
        if len(keys) > MAX_FLOW_TOKENS:
            raise UserError(
                f"attention flow solves a maximum flow for each pair of tokens: {len(keys)} tokens "
                f"exceed the limit of {MAX_FLOW_TOKENS}; choose a shorter text, or rollout"
            )
        flow = graph.flow()
        shares = flow / flow.sum(-1, keepdims=True)
        made.append(Influence(kind, queries, keys, source, shares[None]))
    return made


def _graphs(found: Sequence[Attention], residual: float):
    """(kind, ids of rows, ids of columns, columns of the source, graph) of every stack."""
    if not 0 <= residual < 1:
        raise UserError(f"residual: expected a share from 0 to below 1, got {residual}")
    first, *more = found
    graph = InfluenceGraph.of_stack(first.weights, residual)
    yield first.kind, first.queries, first.keys, 0, graph
    if more:
        own, cross = more
        keys = np.concatenate([cross.keys, own.keys])
        both = graph.with_decoder(own.weights, cross.weights, residual)
        yield own.kind, own.queries, keys, len(cross.keys), both


def _mean(weights: Float[np.ndarray, "H T S"]) -> Float[np.ndarray, "T S"]:
    """Mean of the heads, each row divided by its sum (places before the text are left out)."""
    mean = weights.astype(np.float64).mean(0)
    return mean / mean.sum(-1, keepdims=True)


def _mixed(weights: Float[np.ndarray, "H T T"], residual: float) -> Float[np.ndarray, "T T"]:
    return (1 - residual) * _mean(weights) + residual * np.eye(weights.shape[1])
