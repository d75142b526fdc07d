"""Which parts of a model the axis `tensor` of a mesh can split, before anything is compiled."""

import math
from collections.abc import Iterator

from flax import nnx
from jax.sharding import Mesh

from fxformer.errors import UserError
from fxformer.nn.attention import MultiHeadAttention
from fxformer.nn.ffn import FeedForward, GatedFeedForward
from fxformer.rules import named
from fxformer.train.mesh import MeshConfig


def check_tensor(objective: nnx.Module, params: dict, config: MeshConfig, mesh: Mesh) -> None:
    """Raise UserError where `mesh.tensor` does not divide attention heads or a feed-forward width.

    A vocabulary that it does not divide is kept whole; see `notes`.

    params: shapes of the parameters of a state; what `mesh.rules` decides is not checked
    """
    parts = mesh.shape["tensor"]
    if parts == 1:
        return
    split = config.tensor_paths(named(params))
    for path, what, count, knob in _counts(objective):
        if path not in split or count % parts == 0:
            continue
        place = path.rsplit("/", 2)[0]
        near = math.gcd(count, parts)
        smaller = "mesh=data" if near == 1 else f"mesh.tensor={near}"
        rule = f"mesh.rules=[[{place.rsplit('/', 1)[-1]}/,null]]"
        raise UserError(
            f"mesh.tensor={parts} does not divide the {count} {what} of {place}; write {smaller}, "
            f"{knob}={-(-count // parts) * parts}, or {rule} to keep these matrices whole"
        )


def notes(params: dict, config: MeshConfig, mesh: Mesh) -> list[str]:
    """A sentence for each token embedding or output matrix that `mesh.tensor` does not divide, so
    that each of its devices keeps and multiplies it whole. params: as of `check_tensor`"""
    leaves, parts = named(params), mesh.shape["tensor"]
    found = []
    for path in sorted(config.tensor_paths(leaves)) if parts > 1 else ():
        rows = leaves[path].shape[0]
        if path.endswith("/embedding") and rows % parts:
            more = f"model.network.vocab_multiple={parts} makes them {-(-rows // parts) * parts}"
            found.append(
                f"mesh.tensor={parts} does not divide the {rows} rows of {path}: each device has "
                f"them all; {more}"
            )
    return found


def _counts(objective: nnx.Module) -> Iterator[tuple[str, str, int, str]]:
    """(path of a matrix, what its columns consist of, how many of them, the config key)."""
    for parts, module in nnx.iter_modules(objective):
        path = "/".join(map(str, parts))
        if isinstance(module, MultiHeadAttention):
            yield f"{path}/q/kernel", "heads", module.heads, "model.heads"
            name, key = "key-value heads", "model.attention.kv_heads"
            yield f"{path}/k/kernel", name, module.num_kv_heads, key
        if isinstance(module, FeedForward | GatedFeedForward):
            width = module.up.kernel.shape[-1]
            yield f"{path}/up/kernel", "columns", width, "model.ffn.hidden"
