"""fxformer: encoder, decoder and seq2seq transformers, right, comparable, honest about cost.

`fxformer.load` opens a model for use in Python, `fxformer.pipeline` lets it answer a task. Both are
imported when first used, since they need JAX.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxformer.inference.load import load
    from fxformer.inference.pipelines.tasks import pipeline

__all__ = ["__version__", "load", "pipeline"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `load` or `pipeline` when it is first used."""
    if name == "load":
        from fxformer.inference.load import load

        return load
    if name == "pipeline":
        from fxformer.inference.pipelines.tasks import pipeline

        return pipeline
    raise AttributeError(f"module 'fxformer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
