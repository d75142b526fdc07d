"""fxformer: encoder, decoder and seq2seq transformers, right, comparable, honest about cost."""

__version__ = "0.1.0"
