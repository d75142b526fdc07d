"""Two stacks made of the same arrays."""

from flax import nnx

from fxformer.errors import UserError


def tie(one: nnx.Module, other: nnx.Module) -> None:
    """Make every parameter of `other` the one that `one` has at the same place.

    What `one` alone has (a decoder's look at the encoder) stays its own. Raises UserError where
    `other` has a parameter that `one` has not, or of another shape.
    """
    have, wanted = _parameters(one), _parameters(other)
    for path, parameter in wanted.items():
        name = "/".join(map(str, path))
        if path not in have:
            raise UserError(
                f"two stacks that are one must be alike: the encoder has {name} and the decoder "
                "has not; write model.network.tie_stacks=false"
            )
        if have[path].shape != parameter.shape:
            raise UserError(
                f"two stacks that are one must be alike: {name} is {list(parameter.shape)} in the "
                f"encoder and {list(have[path].shape)} in the decoder; write "
                "model.network.tie_stacks=false"
            )
    for path in wanted:
        *parents, last = path
        node = other
        for key in parents:
            node = node[key] if isinstance(node, nnx.Dict) else getattr(node, key)
        if isinstance(node, nnx.Dict):
            node[last] = have[path]
        else:
            setattr(node, last, have[path])


def _parameters(module: nnx.Module) -> dict[tuple, nnx.Variable]:
    """{path: parameter} of a module."""
    return {path: x for path, x in nnx.iter_graph(module) if isinstance(x, nnx.Variable)}
