"""Training that begins with weights that exist: those of a run, of a published model, of two.

    fxformer train init.from=RUN objective=mlm data=text
    fxformer train init.from=RUN init.layers=every_other objective=mlm data=text
    fxformer train init.encoder=RUN init.decoder=RUN init.share=embeddings objective=denoise

Arrays are matched by path; heads may be new, the body must be whole. adopt.py says how the config
follows.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from fxformer.hf.conversion_report import Line, as_json, sums
from fxformer.hf.convert import Arrays
from fxformer.rules import named, named_map
from fxformer.warmstart.checkpoint_source import HEADS, opened
from fxformer.warmstart.encoder_decoder import Share, weights_of_two
from fxformer.warmstart.layer_subset import DROPPED, picked, slices, taken, teachers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """The knob `init`: where a run's first weights come from.

    from_: a run's folder or name, or a folder of a published model; null: drawn by model.init
    layers: which of its layers: all, every_other, their numbers from 0, or such a choice for each
        of encoder and decoder
    encoder, decoder: two of these, of which an encoder-decoder is made
    share: what its sides are one in
    prefer: whose numbers what is shared begins with, where the two differ
    ignore: fields of a published config.json that are known to change nothing
    """

    from_: str | None = None
    layers: str | list[int] | dict[Literal["encoder", "decoder"], str | list[int]] | None = None
    encoder: str | None = None
    decoder: str | None = None
    share: Share = "none"
    prefer: Literal["encoder", "decoder"] | None = None
    ignore: list[str] | None = None

    @property
    def origin(self) -> str | None:
        """What it begins with, in words."""
        if self.from_ is not None:
            return self.from_
        return None if self.encoder is None else f"{self.encoder} and {self.decoder}"

    def note(self, lines: list[Line], folder: Path) -> str:
        """Write the bill of materials to bill.json in a run's folder; its sums."""
        (folder / "bill.json").write_text(json.dumps(as_json(lines), indent=1) + "\n", "utf-8")
        return f"{sums(lines)} (bill.json)"

    def apply(self, params: dict, *, runs: str) -> tuple[dict, list[Line]]:
        """`params` of an objective with the model's arrays replaced, and what became of each.

        Raises WeightMismatch where a shape differs or the body is not whole.
        """
        if self.origin is None:
            return params, []
        leaves = named(params)
        shapes = {
            p.removeprefix("model/"): leaf.shape
            for p, leaf in leaves.items()
            if p.startswith("model/")
        }
        arrays, lines = self.weights(shapes, runs=runs)
        lines += [
            Line("fresh", "", p, leaf.shape)
            for p, leaf in leaves.items()
            if not p.startswith("model/")
        ]

        def put(path: str, leaf: jax.Array) -> jax.Array:
            found = arrays.get(path.removeprefix("model/")) if path.startswith("model/") else None
            if found is None:
                return leaf
            return jax.device_put(np.array(found, leaf.dtype), leaf.sharding)

        return named_map(put, params), lines

    def weights(self, shapes: dict, *, runs: str) -> tuple[Arrays, list[Line]]:
        """Arrays by path in the model, for a model of these shapes, and the bill of materials."""
        if self.from_ is None:
            encoder, decoder = (
                opened(side, runs, self.ignore or ()) for side in (self.encoder, self.decoder)
            )
            return weights_of_two(encoder, decoder, shapes, self.share, self.prefer)
        origin = opened(self.from_, runs, self.ignore or ())
        if self.layers is None:
            return origin.load(shapes)
        teacher = origin.settled
        cuts = slices(teacher, picked(teacher, self.layers))
        whole, lines = origin.load(teachers(shapes, cuts), (*HEADS, *DROPPED))
        return taken(whole, lines, cuts)
