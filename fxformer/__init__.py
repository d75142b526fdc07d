"""fxformer: encoder, decoder and seq2seq transformers, right, comparable, honest about cost.

`fxformer.load` opens a model for use in Python; it is imported when first used, since it needs JAX.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxformer.inference.load import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `load` when it is first used."""
    if name == "load":
        from fxformer.inference.load import load

        return load
    raise AttributeError(f"module 'fxformer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
