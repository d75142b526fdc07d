"""Residual connections: pre-norm, post-norm, sandwich and parallel."""

from collections.abc import Callable, Mapping

from flax import nnx
from jaxtyping import Array, Float

from fxformer.types import Part

# The sublayers of a block in order, by the name of their norm.
Sublayers = Mapping[str, Callable[[Array], Array]]


class Residual(nnx.Module):
    """Base of residual connections: one norm for each sublayer, applied by subclasses."""

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        self.norms = nnx.Dict({name: norm(dim, rngs=rngs) for name in names})

    def __call__(self, x: Float[Array, "B T D"], sublayers: Sublayers) -> Float[Array, "B T D"]:
        raise TypeError(f"{type(self).__name__} does not implement __call__")

    def sublayer_input(self, name: str, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Input of the sublayer `name`, given that of the residual connection."""
        return self.norms[name](x)


class PreNorm(Residual):
    """Pre-norm: x + f(norm(x)). Xiong et al. 2020; needs no warm-up, but a norm after the stack."""

    def __call__(self, x, sublayers):
        for name, f in sublayers.items():
            x = x + f(self.sublayer_input(name, x))
        return x


class PreNormSkipFirst(PreNorm):
    """x + f(x) for the first sublayer, x + f(norm(x)) for the others: for the first layer after
    normalised embeddings, which would be normalised twice. Warner et al. 2024 (ModernBERT).
    """

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        super().__init__(dim, names=names[1:], norm=norm, rngs=rngs)

    def sublayer_input(self, name, x):
        return self.norms[name](x) if name in self.norms else x


class PostNorm(Residual):
    """Post-norm: norm(x + f(x)). Vaswani et al. 2017; needs warm-up (Xiong et al. 2020)."""

    def __call__(self, x, sublayers):
        for name, f in sublayers.items():
            x = self.norms[name](x + f(x))
        return x

    def sublayer_input(self, name, x):
        return x


class Parallel(Residual):
    """Parallel sublayers: x + f₁(norm₁(x)) + f₂(norm₂(x)) + … Black et al. 2022 (GPT-NeoX)."""

    def __call__(self, x, sublayers):
        return x + sum(f(self.sublayer_input(name, x)) for name, f in sublayers.items())


class ParallelShared(Residual):
    """Parallel sublayers, one norm: x + f₁(norm(x)) + f₂(norm(x)) + … Wang, Komatsuzaki 2021."""

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        super().__init__(dim, names=names[:1], norm=norm, rngs=rngs)

    def __call__(self, x, sublayers):
        h = self.sublayer_input("all", x)
        return x + sum(f(h) for f in sublayers.values())

    def sublayer_input(self, name, x):
        (norm,) = self.norms.values()
        return norm(x)


class SandwichNorm(Residual):
    """Sandwich norm: x + norm(f(norm(x))), a second norm bounds each sublayer. Ding et al. 2021."""

    def __init__(self, dim: int, *, names: tuple[str, ...], norm: Part, rngs: nnx.Rngs):
        super().__init__(dim, names=names, norm=norm, rngs=rngs)
        self.after = nnx.Dict({name: norm(dim, rngs=rngs) for name in names})

    def __call__(self, x, sublayers):
        for name, f in sublayers.items():
            x = x + self.after[name](f(self.sublayer_input(name, x)))
        return x
