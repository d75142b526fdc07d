"""`fxformer export`: a run becomes a folder that transformers loads, 4.x and 5.x alike."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from fxformer.config.compatibility import architecture
from fxformer.config.stored import opened_config
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.errors import UserError
from fxformer.files import check_folder, not_own
from fxformer.hf.config_map import Config, ConfigMismatch
from fxformer.hf.convert import dump
from fxformer.hf.detect_family import Match, free_values, match
from fxformer.hf.family import Form
from fxformer.hf.published_model import WORDS, read_config
from fxformer.hf.run_weights import model_weights
from fxformer.hf.tokenizer_export import write_tokenizer
from fxformer.hf.tokenizer_files import copy_files
from fxformer.track.run_reader import StoredRun

GENERATION = "generation_config.json"
GENERATION_IDS = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)


@dataclasses.dataclass(frozen=True)
class Exported:
    """What an export has written; caveats: which readers take it for something else."""

    folder: Path
    architecture: str
    tensors: dict[str, np.ndarray]
    files: list[str]
    caveats: list[str]


def export_model(
    run: StoredRun, folder: str | Path, *, family: str | None = None, averaged: bool = True
) -> Exported:
    """Write config.json, model.safetensors and the tokenizer of a run into a new folder.

    family: the model_type to be, where several compute the same; averaged: as in `model_weights`
    Raises ConfigMismatch naming the choices no published family has, ConfigError for a stored
    config that may not be opened; nothing is written then.
    """
    from safetensors.numpy import save_file

    opened_config(run.folder)  # a part that may not run is refused, not taken for a near one
    folder, model = Path(folder), answering(run.config)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: write a new folder")
    check_folder(folder, "export")
    found = match(model, wanted=family or _family(run))
    arrays = model_weights(run, averaged=averaged)
    tokenizer = load(run.folder / "tokenizer") if is_saved(run.folder / "tokenizer") else None
    if tokenizer is not None and tokenizer.source is not None:
        raise ConfigMismatch(
            f"{run.id} reads its source with one tokenizer and writes with another, and an export "
            "holds one tokenizer; a run of one tokenizer can be exported"
        )
    config = config_json(run, found, arrays, tokenizer)
    entries = [*found.family.names(found.config | config), *found.form.names(config)]
    tensors = {_named(name, found): x for name, x in dump(entries, arrays).items()}
    tensors = dict(sorted(tensors.items()))
    _check_whole(entries, arrays)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    file = folder / "model.safetensors"
    save_file(tensors, file, metadata={"format": "pt"})
    file.chmod((folder / "config.json").stat().st_mode)  # it makes files for the owner alone
    files = ["config.json", "model.safetensors"]
    files += _text_files(run, tokenizer, folder, found, config)
    caveats = found.family.caveats(config)
    return Exported(folder, found.form.architecture, tensors, files, caveats)


def config_json(
    run: StoredRun, found: Match, arrays: dict[str, np.ndarray], tokenizer: Tokenizer | None
) -> Config:
    """config.json: what the run was imported with, under what its own config says now."""
    before = _published(run)
    if before.get("model_type") not in found.family.types:
        before = {}
    ours: Config = {
        "architectures": [found.form.architecture],
        "model_type": before.get("model_type", found.family.types[0]),
        "vocab_size": sum(len(a) for path, a in arrays.items() if WORDS.fullmatch(path)),
        "dtype": "float32",
        "torch_dtype": "float32",
        **found.config,
        **free_values(found.family, answering(run.config)),
        "tie_word_embeddings": found.form.has_words or before.get("tie_word_embeddings", True),
        **found.form.config,
        **_labels(found.form, arrays, before),
    }
    ids = _special_ids(run, tokenizer) if not before else {}
    written = found.family.written({**ids, **ours})
    public = (found.family.known | written.keys()) - set(found.family.derived)
    kept = {k: v for k, v in before.items() if k in public}
    return _as_before(found, before, {**kept, **written})


# What an export decides by itself, and what tells its class beside the fields that are choices.
DECIDED = frozenset(
    (
        *("architectures", "model_type", "dtype", "torch_dtype", "tie_word_embeddings"),
        *("vocab_size", "decoder_vocab_size", "id2label", "label2id", "num_labels"),
    )
)


def _as_before(found: Match, before: Config, config: Config) -> Config:
    """`config` with the values of the imported one that mean the same: `swish` for `silu`, null."""
    family, fixed = found.family, DECIDED | found.form.config.keys()
    old = {k: v for k, v in before.items() if k in config and k not in fixed}
    if not old:
        return config
    wanted = family.meaning(config)

    def same(tried: Config) -> bool:
        try:
            return family.meaning(tried) == wanted
        except ConfigMismatch:
            return False

    if same(config | old):
        return config | old
    for key, value in old.items():  # something was changed since: what was not stays
        config = config | {key: value} if same(config | {key: value}) else config
    return config


def answering(config: Config) -> dict[str, Any]:
    """The model node of a run's config with the head its weights have: an objective that brings a
    head of its own (ELECTRA's discriminator) has put it on the model."""
    model, head = config["model"], (config.get("objective") or {}).get("head")
    if not isinstance(head, dict):
        return model
    return {**model, "head": head, "network": {**model["network"], "head": head}}


def _family(run: StoredRun) -> str | None:
    """The family a run was imported as."""
    return _published(run).get("model_type")


def _published(run: StoredRun) -> Config:
    file = run.folder / "published" / "config.json"
    return read_config(file.parent) if file.is_file() else {}


def _special_ids(run: StoredRun, tokenizer: Tokenizer | None) -> Config:
    """Which ids pad, begin and end, and what a decoder reads first."""
    seq2seq = run.config["model"]["network"]["_target_"].endswith("Seq2Seq")
    if tokenizer is None:
        return {"is_encoder_decoder": seq2seq} if seq2seq else {}
    ids = tokenizer.ids
    found: dict[str, Any] = {"pad_token_id": ids.pad, "bos_token_id": ids.bos}
    found["eos_token_id"] = ids.eos
    if seq2seq:
        start = (run.config.get("objective") or {}).get("start", "pad")
        found |= {"is_encoder_decoder": True, "decoder_start_token_id": getattr(ids, start)}
        found |= {"forced_bos_token_id": None, "forced_eos_token_id": None}  # BART's class has some
    return found


def _labels(form: Form, arrays: dict[str, np.ndarray], before: Config) -> Config:
    """Names for the classes, where there are any."""
    if form.labels is None:
        return {}
    count = arrays[f"classifiers/{form.labels[1]}/out/kernel"].shape[-1]
    if len(before.get("id2label") or {}) == count:
        return {}
    names = {i: f"LABEL_{i}" for i in range(count)}
    return {"id2label": names, "label2id": {name: i for i, name in names.items()}}


def _named(name: str, found: Match) -> str:
    """A name of the map as files of this form have it: with the form's own base prefix."""
    base = found.form.base
    if base is None:
        return name
    head = any(
        name == need or name.startswith(need.rpartition(".")[0].split(".")[0] + ".")
        for need in found.form.needs
    )
    if base == "":
        return name.removeprefix(found.family.base)
    return name if head else base + name.removeprefix(found.family.base)


def _check_whole(entries: list, arrays: dict[str, np.ndarray]) -> None:
    """Every array has found its place in the files."""
    placed = {path for entry in entries for path in entry.paths}
    lost = sorted(set(arrays) - placed)
    if lost:
        raise ConfigMismatch(f"no tensor of this family holds {', '.join(lost[:5])}")


def _text_files(
    run: StoredRun, tokenizer: Tokenizer | None, folder: Path, found: Match, config: Config
) -> list[str]:
    """Tokenizer and generation settings: the files it was imported with, or made from ours."""
    kept = run.folder / "published"
    if linked := not_own(kept):  # an export is given away: nothing from elsewhere goes into it
        raise UserError(linked)
    files = copy_files(kept, folder) if kept.is_dir() else []
    if (kept / GENERATION).is_file():
        shutil.copyfile(kept / GENERATION, folder / GENERATION)
        files.append(GENERATION)
    if tokenizer is None or any(name != GENERATION for name in files):
        return files
    kind = architecture(OmegaConf.create({"model": answering(run.config)}))
    writes = kind != "encoder" and found.form.has_words
    files += write_tokenizer(
        tokenizer,
        folder,
        prompts=writes and kind == "decoder",
        token_types=(config.get("type_vocab_size") or 0) > 1,
    )
    if writes and GENERATION not in files:
        own = {name: config[name] for name in GENERATION_IDS if name in config}
        (folder / GENERATION).write_text(json.dumps(own, indent=2, sort_keys=True) + "\n")
        files.append(GENERATION)
    return files
