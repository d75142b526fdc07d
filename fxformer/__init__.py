"""fxformer: encoder, decoder and seq2seq transformers in JAX, right, comparable and honest about their cost."""

__version__ = "0.1.0"
