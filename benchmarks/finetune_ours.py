"""Our side of `benchmarks finetune`: the setup and step of `fxformer train`, a request at a time.

A JSON object a line on standard input, an answer a line each:
{"facts": true} gives sizes; {"prepare": folder, "epochs": n} writes the first state as a Hugging
Face folder, and all batches as arrays; {"steps": n} trains; {"evaluate": true} gives the metrics of
the held-out rows; {"score": file} those of the outputs of the other side.
"""

import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from flax import nnx
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from fxformer.config import folders
from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.errors import UserError
from fxformer.inference.model import Model
from fxformer.task.features import pack_features
from fxformer.train.compile import compile_step, use_compile_cache
from fxformer.train.setup import ValidationBatches, set_up
from fxformer.warmstart.resolve import resolve_warm_start

TOKENIZED = 200  # rows whose token ids are compared


def config(words: list[str]) -> DictConfig:
    """The checked config of `fxformer train` with these words."""
    folders.register()
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        cfg = compose("train", words)
    cfg = resolve_warm_start(cfg, words, "train")
    check(cfg, folders.top_keys("train"))
    return cfg


class Side:
    """A training run without its folder."""

    def __init__(self, words: list[str]):
        self.setup = set_up(config(words))
        like = self.setup.abstract_state
        self.placement = jax.tree.map(lambda leaf: leaf.sharding, like)
        start = jax.jit(self.setup.init_state, out_shardings=self.placement)
        state = start(jax.random.key(self.setup.cfg.seed))
        params, lines = build(self.setup.cfg.warm_start).apply(state.params, runs="runs")
        self.fresh = sorted(line.path for line in lines if line.status == "fresh")
        self.state = state.replace(params=params)
        self.batches = self.setup.data.train(self.setup.corpus.batch, self.setup.cfg.seed)
        self.step, self.number = None, 0
        self.validation = ValidationBatches(self.setup)

    @property
    def facts(self) -> dict:
        """Sizes for the report."""
        data, setup = self.setup.data, self.setup
        return {
            "steps": setup.trainer.steps,
            "rows": {split: len(packed) for split, packed in data.packed.items()},
            "examples": {split: len(one.features) for split, one in data.packed.items()},
            "length": data.packed["train"].length,
            "parameters": setup.parameters,
            "fresh": self.fresh,
            "outputs": setup.objective.task.outputs,
        }

    def prepare(self, folder: Path, epochs: float) -> dict:
        """Write the first state, all batches of so many epochs or of the run, and some texts."""
        setup = self.setup
        model = Model(
            name="start",
            tokenizer=setup.data.tokenizer,
            vocabulary=setup.objective.vocabulary,
            graphdef=nnx.split(setup.objective.model)[0],
            params=setup.adapter.merged(self.state.params)["model"],
            config={k: _plain(setup.cfg.get(k)) for k in ("model", "objective", "task")},
        )
        model.save_pretrained(folder / "model")
        steps = max(setup.trainer.steps, math.ceil(epochs * self.batches.steps_per_epoch))
        made = [setup.objective.corrupt(self.batches[n]) for n in range(steps)]
        for split, batches in (("train", made), ("valid", list(self.validation))):
            packed = setup.data.packed[split]
            arrays = unpacked(setup.objective.task, packed, batches)
            np.savez(folder / f"{split}.npz", **arrays)
            if split == "valid":
                np.save(folder / "index.npy", arrays["index"])
        split, ids = setup.data.packed["valid"], {}
        for one in split.features:
            ids.setdefault(one.example, []).append(one.tokens.tolist())
        some = [n for n in range(min(TOKENIZED, len(split.read))) if n in ids]
        texts = [_text(split.read[n].values) for n in some]
        known = {"texts": texts, "ids": [ids[n] for n in some]}
        (folder / "texts.json").write_text(json.dumps(known))
        return self.facts

    def train(self, count: int) -> dict:
        """Make steps; how long each took."""
        if self.step is None:
            began = time.perf_counter()
            step = compile_step(self.setup.step, self.placement, self.setup.mesh)
            self.step = step.lower(self.state, self.batch(0)).compile()
            self.compile_seconds = time.perf_counter() - began
        seconds, losses, cpu = [], [], time.process_time()
        for _ in range(count):
            began = time.perf_counter()
            self.state, sums = self.step(self.state, self.batch(self.number))
            total, weight = jax.device_get(sums["loss"])
            seconds.append(time.perf_counter() - began)
            losses.append(float(total) / float(weight))
            self.number += 1
        cpu = time.process_time() - cpu
        return {
            "seconds": seconds, "losses": losses, "cpu": cpu, "peak_mb": peak_mb(),
            "compile_seconds": self.compile_seconds,
        }  # fmt: skip

    def batch(self, number: int):
        """A training batch on the device."""
        return self.setup.put(self.setup.objective.corrupt(self.batches[number]))

    def evaluate(self) -> dict:
        """Metrics of the held-out rows."""
        run = jax.jit(self.setup.evaluate)
        for batch in self.validation:
            self.validation.observe(batch, run(self.state.params, batch)[1])
        return self._metrics(self.validation.outputs)

    def score(self, file: str) -> dict:
        """Metrics of the other side's outputs. file: .npy, float32 [batches, examples, …]"""
        outputs, index = np.load(file), np.load(Path(file).with_name("index.npy"))
        packed, task = self.setup.data.packed["valid"], self.setup.objective.task
        given = {int(index[at]): outputs[at] for at in zip(*np.nonzero(index >= 0), strict=True)}
        results = task.results(given, packed.features, packed.read)
        return {name: value for one in results for name, value in one.values.items()}

    def _metrics(self, outputs: list) -> dict:
        packed = self.setup.data.packed["valid"]
        return self.setup.objective.metrics(outputs, packed)


def _plain(node: DictConfig | None) -> Any:
    return None if node is None else OmegaConf.to_container(node, resolve=True)


def unpacked(task: Any, packed: Any, batches: list) -> dict[str, np.ndarray]:
    """The examples of batches in their order, a row each, as transformers reads them.

    tokens, segments, types: [batches, examples, T] int32, filled up with empty rows
    classes: the labels, [batches, examples], or with a last axis of tokens or of start and end
    weights: of the labels of tokens
    index: number of each example; -1: none
    """
    numbers = [np.asarray(one.labels.index) for one in batches]
    numbers = [one[one >= 0] for one in numbers]
    most, length = max(map(len, numbers)), packed.length
    index = np.full((len(numbers), most), -1)
    shape = (*index.shape, length)
    found = {name: np.zeros(shape, np.int32) for name in ("tokens", "segments", "types")}
    labels: dict[str, list[np.ndarray]] = {"classes": [], "weights": []}
    for row, some in enumerate(numbers):
        index[row, : len(some)] = some
        features = [packed.features[number] for number in some]
        alone = pack_features(features, length, task, 0, shared=False)
        made = alone.rows(np.r_[np.arange(len(some)), np.full(most - len(some), -1)])
        for name, array in found.items():
            array[row] = getattr(made, name)
        for name, kept in labels.items():
            kept.append(np.asarray(getattr(made.labels, name)))
    return found | {name: np.stack(kept) for name, kept in labels.items()} | {"index": index}


def _text(values: dict) -> list:
    """What transformers' tokenizer is called with: a text, words, or question and context."""
    if values.get("question") is not None:
        return [values["question"], values["context"]]
    words = values.get("words")
    return [values["text"]] if words is None else [list(words)]


def peak_mb() -> float:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(words: list[str], cache: str, answers: TextIO) -> None:
    """Answer until standard input ends. cache: folder of compiled programs"""
    use_compile_cache(cache)
    try:
        side = Side(words)
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            answer = side.prepare(Path(request["prepare"]), request["epochs"])
        elif "facts" in request:
            answer = side.facts
        elif "steps" in request:
            answer = side.train(request["steps"])
        elif "score" in request:
            answer = side.score(request["score"])
        else:
            answer = side.evaluate()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    OUT, sys.stdout = sys.stdout, sys.stderr
    main(json.loads(sys.argv[1]), sys.argv[2], OUT)
