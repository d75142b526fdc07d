"""Initialisation of training from pretrained weights: a run, a published model, or two of them.

    fxformer train warm_start.from=RUN objective=mlm data=text
    fxformer train warm_start.from=RUN warm_start.layers=every_other objective=mlm data=text
    fxformer train warm_start.encoder=RUN warm_start.decoder=RUN objective=denoise

Arrays are matched by path. Heads may be freshly initialised; every array of the body must be
found. resolve.py derives the config.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from fxformer.hf.conversion_report import REPORT, ReportLine, as_json, summary
from fxformer.hf.convert import Converted
from fxformer.rules import named, named_map
from fxformer.train.placement import on_host, put
from fxformer.types import Natural
from fxformer.warmstart.checkpoint_source import HEADS, open_source
from fxformer.warmstart.encoder_decoder import RandomSides, Share, encoder_decoder_weights
from fxformer.warmstart.layer_subset import (
    OPTIONAL,
    block_slices,
    layers_by_stack,
    select_blocks,
    teacher_shapes,
)
from fxformer.warmstart.reinit import reinit_lines, top_of, with_top


@dataclasses.dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Source of the initial weights of a run (config key `warm_start`).

    from_: a run's name or folder, a folder of a published model or its hub id; null: all weights
        are drawn by model.init
    layers: layers to keep: all, every_other, indices from 0, or one of these per stack
        ({encoder: …, decoder: …})
    encoder, decoder: two sources from which an encoder-decoder is built
    random: of two sources, the sides whose weights are drawn by model.init instead: none, encoder,
        decoder or all. Only their configs are read (Rothe et al. 2020: BERT2RND, RND2RND)
    share: parameters that encoder and decoder share: none, embeddings or all
    prefer: the side whose values initialise shared parameters when the two differ
    ignore: fields of a published config.json that do not affect the outputs
    labels: class names of the head of the source, in its order; resolve.py writes them, and a task
        whose data have the same names takes their order
    reinit_layers: number of top layers whose loaded weights are replaced by freshly drawn ones, of
        all stacks or per stack ({decoder: 2}). Zhang et al. 2021
    """

    from_: str | None = None
    layers: str | list[int] | dict[Literal["encoder", "decoder"], str | list[int]] | None = None
    encoder: str | None = None
    decoder: str | None = None
    random: RandomSides = "none"
    share: Share = "none"
    prefer: Literal["encoder", "decoder"] | None = None
    ignore: list[str] | None = None
    labels: list[str] | None = None
    reinit_layers: Natural | dict[Literal["encoder", "decoder"], Natural] | None = None

    @property
    def source(self) -> str | None:
        """Description of the source for messages and events; None without one."""
        if self.from_ is not None:
            return self.from_
        return None if self.encoder is None else f"{self.encoder} and {self.decoder}"

    def note(self, lines: list[ReportLine], folder: Path | None) -> str:
        """Write conversion_report.json to a run's folder, if one is given; its one-line summary."""
        if folder is not None:
            (folder / REPORT).write_text(json.dumps(as_json(lines), indent=1) + "\n", "utf-8")
        return f"{summary(lines)} ({REPORT})"

    def frozen_at_random(self, lines: list[ReportLine], frozen: Mapping[str, bool]) -> list[str]:
        """Paths of parameters that the source does not provide and that are not trained either.

        lines: of `apply`; frozen: {path in the objective: whether it is not trained}
        """
        drawn = [line.path for line in lines if line.status in ("fresh", "reinitialised")]
        return sorted(path for path in drawn if frozen.get(f"model/{path}", frozen.get(path)))

    def apply(self, params: dict, *, runs: str) -> tuple[dict, list[ReportLine]]:
        """(`params` of an objective with the model's arrays replaced, conversion report).

        runs: the folder that holds the runs
        Raises WeightMismatch if a shape differs or an array of the body is missing.
        """
        if self.source is None:
            return params, []
        leaves = named(params)
        shapes = {
            p.removeprefix("model/"): leaf.shape
            for p, leaf in leaves.items()
            if p.startswith("model/")
        }
        arrays, lines = self.weights(shapes, runs=runs)
        lines += reinit_lines(arrays, self.reinit_layers)
        lines += [
            ReportLine("fresh", "", p, leaf.shape)
            for p, leaf in leaves.items()
            if not p.startswith("model/")
        ]

        def loaded(path: str, leaf: jax.Array) -> jax.Array:
            own = path.removeprefix("model/")
            found = arrays.get(own) if path.startswith("model/") else None
            if found is None:
                return leaf
            if count := top_of(own, self.reinit_layers):
                found = with_top(np.asarray(found), on_host(leaf), count)
            return put(np.array(found, leaf.dtype), leaf.sharding)

        return named_map(loaded, params), lines

    def weights(self, shapes: dict, *, runs: str) -> Converted:
        """({path: array} for a model of these shapes, conversion report)."""
        if self.from_ is None:
            assert self.encoder is not None and self.decoder is not None  # see resolve.py
            encoder, decoder = (
                open_source(side, runs, self.ignore or ()) for side in (self.encoder, self.decoder)
            )
            return encoder_decoder_weights(
                encoder, decoder, shapes, self.share, self.prefer, self.random
            )
        source = open_source(self.from_, runs, self.ignore or ())
        if self.layers is None:
            return source.load(shapes)
        teacher = source.resolved_model
        cuts = block_slices(teacher, layers_by_stack(teacher, self.layers))
        whole, lines = source.load(teacher_shapes(shapes, cuts), (*HEADS, *OPTIONAL))
        return select_blocks(whole, lines, cuts)
