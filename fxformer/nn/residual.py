"""How the sublayers of a block are joined to the stream that runs past them."""

from collections.abc import Callable, Mapping

from flax import nnx
from jaxtyping import Array, Float

from fxformer.types import Part

# The sublayers of a block in their order, each under the name its norm goes by.
Sublayers = Mapping[str, Callable[[Array], Array]]


class Residual(nnx.Module):
    """Base: one norm for each sublayer. Subclasses say in `__call__` where it stands."""

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        self.norms = nnx.Dict({name: norm(dim, rngs=rngs) for name in names})

    def __call__(self, x: Float[Array, "B T D"], sublayers: Sublayers) -> Float[Array, "B T D"]:
        raise TypeError(f"{type(self).__name__} does not say how it joins sublayers")

    def enter(self, name: str, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """What a sublayer gets of the stream."""
        return self.norms[name](x)


class Pre(Residual):
    """x + f(norm(x)). Xiong et al. 2020; trains without warm-up, wants a norm after the stack."""

    def __call__(self, x, sublayers):
        for name, f in sublayers.items():
            x = x + f(self.enter(name, x))
        return x


class PreBare(Pre):
    """x + f(x) of the first sublayer, x + f(norm(x)) of the others: for the layer that comes right
    after a normed embedding, which would be normed twice. Warner et al. 2024 (ModernBERT).
    """

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        super().__init__(dim, names=names[1:], norm=norm, rngs=rngs)

    def enter(self, name, x):
        return self.norms[name](x) if name in self.norms else x


class Post(Residual):
    """norm(x + f(x)). Vaswani et al. 2017, sec. 3.1; needs warm-up (Xiong et al. 2020)."""

    def __call__(self, x, sublayers):
        for name, f in sublayers.items():
            x = self.norms[name](x + f(x))
        return x

    def enter(self, name, x):
        return x


class Parallel(Residual):
    """x + f₁(norm₁(x)) + f₂(norm₂(x)) + … Black et al. 2022 (GPT-NeoX)."""

    def __call__(self, x, sublayers):
        return x + sum(f(self.enter(name, x)) for name, f in sublayers.items())


class ParallelShared(Residual):
    """x + f₁(norm(x)) + f₂(norm(x)) + … one norm for all. Wang and Komatsuzaki 2021 (GPT-J)."""

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        super().__init__(dim, names=names[:1], norm=norm, rngs=rngs)

    def __call__(self, x, sublayers):
        h = self.enter("all", x)
        return x + sum(f(h) for f in sublayers.values())

    def enter(self, name, x):
        (norm,) = self.norms.values()
        return norm(x)


class Sandwich(Residual):
    """x + norm(f(norm(x))). Ding et al. 2021, sec. 2.4: a second norm tames the branch."""

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        super().__init__(dim, names=names, norm=norm, rngs=rngs)
        self.after = nnx.Dict({name: norm(dim, rngs=rngs) for name in names})

    def __call__(self, x, sublayers):
        for name, f in sublayers.items():
            x = x + self.after[name](f(self.enter(name, x)))
        return x
