"""The models that `python -m benchmarks gpu` trains, on both sides: shapes, options, operands."""

from __future__ import annotations

import dataclasses

from benchmarks.work import Shape


@dataclasses.dataclass(frozen=True)
class GPUModel:
    """A published model, one length and one batch.

    family: of the batch, as in benchmarks.work; words: what one would write after `fxformer train`
    attention: whether a kernel can compute its attention; a bias of the position scheme (T5) leaves
        the reference
    """

    family: str
    words: tuple[str, ...]
    length: int
    batch: int
    vocab: int
    dim: int
    layers: int
    heads: int
    hidden: int
    attention: bool = True

    @property
    def shape(self) -> Shape:
        """Batch, length and vocabulary, for `make_batch`."""
        return Shape(
            batch=self.batch, length=self.length, dim=self.dim, layers=self.layers,
            heads=self.heads, vocab=self.vocab,
        )  # fmt: skip

    def overrides(self, backend: str) -> list[str]:
        """The whole command line in bfloat16, without dropout, which no kernel has."""
        return [
            *self.words, f"model.dim={self.dim}", f"model.layers={self.layers}",
            f"model.heads={self.heads}", f"model.ffn.hidden={self.hidden}", "model.dropout=0",
            f"model.attention.backend={backend}", f"data.length={self.length}",
            "precision=bfloat16", "optimizer.lr=1e-4", "schedule=constant",
        ]  # fmt: skip

    def tiny(self) -> GPUModel:
        """The same with the smallest sizes, so that it runs on a CPU; rows longer than a tile."""
        return dataclasses.replace(
            self, length=192, batch=2, vocab=128, dim=32, layers=2, heads=2, hidden=64
        )


def _table(model: str, objective: str) -> tuple[str, ...]:
    """A model with a position table as long as its rows."""
    length = "model.position.length=${data.length}"
    return (f"model={model}", f"objective={objective}", length)


MODELS = {
    "gpt2_124m": GPUModel(
        "decoder", _table("gpt2", "clm"), 1024, 16, 50257, 768, 12, 12, 3072
    ),
    "gpt2_350m": GPUModel(
        "decoder", _table("gpt2", "clm"), 1024, 8, 50257, 1024, 24, 16, 4096
    ),
    "bert_base": GPUModel(
        "encoder", _table("bert", "mlm"), 512, 32, 30522, 768, 12, 12, 3072
    ),
    "bart_base": GPUModel(
        "seq2seq", _table("bart", "denoise"), 512, 16, 50265, 768, 6, 12, 3072
    ),
    "t5_base": GPUModel(
        "seq2seq", ("model=t5", "objective=denoise"), 512, 16, 32128, 768, 12, 12, 3072, False
    ),
    "modernbert_base": GPUModel(
        "encoder", ("model=modernbert", "objective=mlm"), 8192, 2, 50368, 768, 22, 12, 1152
    ),
}  # fmt: skip


def model_of(name: str, tiny: bool) -> GPUModel:
    """A model by name, in its published or in the smallest size."""
    return MODELS[name].tiny() if tiny else MODELS[name]
