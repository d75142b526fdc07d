"""Parameters of a model laid out for decoding: arrays of their own for each layer, transposed."""

import weakref
from functools import partial

import jax
from flax import nnx
from jax.core import Tracer

from fxformer.model.language_model import LanguageModel
from fxformer.model.seq2seq import Seq2Seq
from fxformer.model.transformer import Transformer
from fxformer.nn.core import Linear, TransposedLinear
from fxformer.nn.stack import UnrolledStack


def decoding_layout(model: LanguageModel | Seq2Seq) -> tuple[nnx.GraphDef, nnx.State]:
    """The model with its layers unrolled and their kernels transposed, split.

    The parameters of these layers are copied; the other arrays are those of the model. The copy is
    kept for the next call with the same arrays, until another model is given or one of them dies.
    """
    graphdef, params = nnx.split(model)
    arrays = jax.tree.leaves(params)
    if any(isinstance(array, Tracer) for array in arrays):
        return _convert(graphdef, params)
    layout = _latest.of(graphdef, arrays)
    if layout is None:
        _latest.clear()  # before the next copy is made
        layout = _convert(graphdef, params)
        _latest.keep(graphdef, arrays, layout)
    return layout


class LatestLayout:
    """The layout that was made last, while all the arrays live that it is of."""

    def __init__(self):
        self.entry = None  # (graphdef, weak references to the arrays, layout), replaced as a whole

    def clear(self, *_) -> None:
        """Drop the layout."""
        self.entry = None

    def keep(self, graphdef: nnx.GraphDef, arrays: list[jax.Array], layout) -> None:
        """Hold the layout of a model with these arrays."""
        self.entry = graphdef, [weakref.ref(array, self.clear) for array in arrays], layout

    def of(self, graphdef: nnx.GraphDef, arrays: list[jax.Array]):
        """The layout of this model and these very arrays; None: it is not held."""
        if (entry := self.entry) is None or entry[0] != graphdef or len(entry[1]) != len(arrays):
            return None
        pairs = zip(arrays, entry[1], strict=True)
        return entry[2] if all(array is reference() for array, reference in pairs) else None


_latest = LatestLayout()


@partial(jax.jit, static_argnums=0)
def _convert(graphdef: nnx.GraphDef, params: nnx.State) -> tuple[nnx.GraphDef, nnx.State]:
    model = nnx.merge(graphdef, params)
    for _, node in list(nnx.iter_graph(model)):
        if isinstance(node, Transformer) and node.stack.convolution is None:
            node.stack = UnrolledStack(node.stack)
            transpose_kernels(node.stack)
    return nnx.split(model)


def transpose_kernels(module: nnx.Module) -> None:
    """Replaces every `Linear` in a module by a `TransposedLinear`, in place."""
    replaced: dict[int, TransposedLinear] = {}
    for _, node in list(nnx.iter_graph(module)):
        if not isinstance(node, nnx.Module):
            continue
        for name, child in list(vars(node).items()):
            if isinstance(child, Linear):
                transposed = replaced.setdefault(id(child), TransposedLinear(child))
                setattr(node, name, transposed)
