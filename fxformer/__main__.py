"""`python -m fxformer`, and the console script `fxformer`: see fxformer/cli."""

from fxformer.cli.main import entry, main

__all__ = ["entry", "main"]

if __name__ == "__main__":
    entry()
