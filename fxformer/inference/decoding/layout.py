"""Parameters of a model laid out for decoding: arrays of their own for each layer, transposed."""

from functools import partial

import jax
from flax import nnx

from fxformer.model.language_model import LanguageModel
from fxformer.model.seq2seq import Seq2Seq
from fxformer.model.transformer import Transformer
from fxformer.nn.core import Linear, TransposedLinear
from fxformer.nn.stack import UnrolledStack


def decoding_layout(model: LanguageModel | Seq2Seq) -> tuple[nnx.GraphDef, nnx.State]:
    """The model with the layers of its decoder unrolled and their kernels transposed, split.

    The parameters of these layers are copied, once for a call of `generate`; the other arrays are
    those of the model.
    """
    return _convert(*nnx.split(model))


@partial(jax.jit, static_argnums=0)
def _convert(graphdef: nnx.GraphDef, params: nnx.State) -> tuple[nnx.GraphDef, nnx.State]:
    model = nnx.merge(graphdef, params)
    for _, node in list(nnx.iter_graph(model)):
        if isinstance(node, Transformer) and node.causal:
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
