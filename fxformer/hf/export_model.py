"""`fxformer export`: write a run as a folder that transformers 4 and 5 load."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from fxformer.config.compatibility import architecture
from fxformer.config.stored import opened_config
from fxformer.config.target import locate
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.data.tokenizer_marian import MarianTokenizer
from fxformer.errors import UserError
from fxformer.files import check_folder, not_own
from fxformer.hf.config_map import Config, ConfigMismatch
from fxformer.hf.convert import dump
from fxformer.hf.detect_family import FamilyMatch, detect_family, free_values
from fxformer.hf.family import HeadVariant
from fxformer.hf.pruned_heads import CAVEAT, HeadExport, cut_heads, layer_names, zeroed
from fxformer.hf.published_model import EMBEDDING, read_config
from fxformer.hf.run_weights import model_weights
from fxformer.hf.tensor_files import check_links
from fxformer.hf.tokenizer_export import tokenizer_caveats, write_tokenizer
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
    """Result of an export. caveats: warnings about versions of transformers that differ."""

    folder: Path
    architecture: str
    tensors: dict[str, np.ndarray]
    files: list[str]
    caveats: list[str]


@dataclasses.dataclass(frozen=True)
class ExportSource:
    """A model to export.

    name: for error messages
    config: the `model`, `objective` and, of a labelled task, `task` nodes of its config
    arrays: {path in the model: array}
    published: folder with the config.json and tokenizer files it was imported from, if any
    generation: content of generation_config.json; None: as imported, or the special ids
    head_masks, heads: factors of heads and what becomes of those with 0, see pruned_heads.py
    """

    name: str
    config: Config
    arrays: dict[str, np.ndarray]
    tokenizer: Tokenizer | None
    published: Path | None
    generation: Config | None = None
    head_masks: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    heads: HeadExport = "zero"

    @property
    def published_config(self) -> Config:
        """The imported config.json; {} without one."""
        there = self.published is not None and (self.published / "config.json").is_file()
        return read_config(self.published) if there and self.published else {}


def export_model(
    run: StoredRun, folder: str | Path, *, family: str | None = None, averaged: bool = True
) -> Exported:
    """Write config.json, model.safetensors and the tokenizer of a run to a new folder.

    family: model_type to use if several families compute the same
    averaged: export the moving average of the weights if the run kept one
    Raises ConfigMismatch naming the choices that no family has, ConfigError for a stored config
    that cannot be built; nothing is written then.
    """
    opened_config(run.folder)  # refuses targets that may not run
    kept = run.folder / "published"
    if linked := not_own(kept):  # links could copy files from elsewhere into a public export
        raise UserError(linked)
    source = ExportSource(
        name=run.id,
        config=run.config,
        arrays=model_weights(run, averaged=averaged),
        tokenizer=load(run.folder / "tokenizer") if is_saved(run.folder / "tokenizer") else None,
        published=kept if kept.is_dir() else None,
    )
    return write_export(source, folder, family=family)


def write_export(
    source: ExportSource, folder: str | Path, *, family: str | None = None
) -> Exported:
    """Write config.json, model.safetensors and the tokenizer of a model to a new folder.

    Raises as `export_model`.
    """
    from safetensors.numpy import save_file

    folder, tokenizer, arrays = Path(folder), source.tokenizer, source.arrays
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: give a new folder")
    check_folder(folder, "export")
    if source.published is not None:
        check_links(source.published)
    before = source.published_config
    model = model_with_head(source.config)
    found = detect_family(model, model_type=family or before.get("model_type"))
    of_source = None if tokenizer is None else tokenizer.source
    if of_source is not None and {type(tokenizer), type(of_source)} != {MarianTokenizer}:
        raise ConfigMismatch(
            f"{source.name} has different tokenizers for source and target, but an export holds "
            "one: only models with one tokenizer, or with the two of Marian, can be exported"
        )
    config = config_json(source, found)
    entries = [*found.family.weight_map(found.config | config), *found.variant.weight_map(config)]
    _check_whole(entries, arrays)
    arrays = zeroed(arrays, source.head_masks)
    caveats = list(found.family.caveats(config))
    tensors = {_named(name, found): x for name, x in dump(entries, arrays).items()}
    if source.head_masks and source.heads == "cut":
        named = {name: _named(name, found) for name in layer_names(entries, config)}
        cut_heads(tensors, entries, named, config, source.head_masks, source.name)
        caveats.append(CAVEAT)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    file = folder / "model.safetensors"
    save_file(dict(sorted(tensors.items())), file, metadata={"format": "pt"})
    file.chmod((folder / "config.json").stat().st_mode)  # safetensors creates files with mode 0600
    texts = _text_files(source, folder, found, config, caveats)
    files = ["config.json", "model.safetensors", *texts]
    return Exported(folder, found.variant.architecture, tensors, files, caveats)


def config_json(source: ExportSource, found: FamilyMatch) -> Config:
    """config.json: the imported one, if any, updated with the model's current config."""
    before, arrays = source.published_config, source.arrays
    if before.get("model_type") not in found.family.types:
        before = {}
    ours: Config = {
        "architectures": [found.variant.architecture],
        "model_type": before.get("model_type", found.family.types[0]),
        "vocab_size": sum(len(a) for path, a in arrays.items() if EMBEDDING.fullmatch(path)),
        "dtype": "float32",
        "torch_dtype": "float32",
        **found.config,
        **free_values(found.family, model_with_head(source.config)),
        "tie_word_embeddings": found.variant.has_lm_head or before.get("tie_word_embeddings", True),
        **found.variant.config,
        **_labels(found.variant, arrays, before, source.config.get("task") or {}),
    }
    ids = _special_ids(source) if not before else {}
    written = found.family.serialize({**ids, **ours})
    public = (found.family.known | written.keys()) - set(found.family.derived)
    kept = {k: v for k, v in before.items() if k in public}
    return _as_before(found, before, {**kept, **written})


# Fields set by the export itself, and those that identify the class or its sizes.
SET_BY_EXPORT = frozenset(
    (
        *("architectures", "model_type", "dtype", "torch_dtype", "tie_word_embeddings"),
        *("vocab_size", "decoder_vocab_size", "id2label", "label2id", "num_labels"),
    )
)


def _as_before(found: FamilyMatch, before: Config, config: Config) -> Config:
    """`config` with equivalent values of the imported one kept (`swish` for `silu`)."""
    family, fixed = found.family, SET_BY_EXPORT | found.variant.config.keys()
    old = {k: v for k, v in before.items() if k in config and k not in fixed}
    if not old:
        return config
    wanted = family.overrides(config)

    def same(tried: Config) -> bool:
        try:
            return family.overrides(tried) == wanted
        except ConfigMismatch:
            return False

    if same(config | old):
        return config | old
    for key, value in old.items():  # the config has changed since: keep the equivalent fields
        config = config | {key: value} if same(config | {key: value}) else config
    return config


def model_with_head(config: Config) -> dict[str, Any]:
    """The `model` node of a run's config with the head of its weights: that of the objective if it
    has its own (ELECTRA's discriminator)."""
    model, head = config["model"], (config.get("objective") or {}).get("head")
    if not isinstance(head, dict):
        return model
    return {**model, "head": head, "network": {**model["network"], "head": head}}


def _special_ids(source: ExportSource) -> Config:
    """Ids of pad, bos and eos, and of the decoder's start token."""
    tokenizer = source.tokenizer
    seq2seq = source.config["model"]["network"]["_target_"].endswith("Seq2Seq")
    if tokenizer is None:
        return {"is_encoder_decoder": seq2seq} if seq2seq else {}
    ids = tokenizer.ids
    found: dict[str, Any] = {"pad_token_id": ids.pad, "bos_token_id": ids.bos}
    found["eos_token_id"] = ids.eos
    if seq2seq:
        start = (source.config.get("objective") or {}).get("start", "pad")
        found |= {"is_encoder_decoder": True, "decoder_start_token_id": getattr(ids, start)}
        found |= {
            "forced_bos_token_id": None,
            "forced_eos_token_id": None,
        }  # overrides defaults of BART's class
    return found


def _labels(
    variant: HeadVariant, arrays: dict[str, np.ndarray], before: Config, task: Config
) -> Config:
    """Label names of a classification head; {} without one.

    task: the config of the labelled task that the model learned; {}: none
    """
    if variant.labels is None:
        return {}
    count = arrays[f"task_heads/{variant.labels[1]}/output/kernel"].shape[-1]
    known = list(task.get("labels") or ())
    if not known and len(before.get("id2label") or {}) == count:
        return {}
    names = dict(enumerate(known if len(known) == count else map("LABEL_{}".format, range(count))))
    found: Config = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    kind = getattr(locate(task["_target_"]), "problem_type", None) if task else None
    return found | ({"problem_type": kind} if kind else {})


def _named(name: str, found: FamilyMatch) -> str:
    """A tensor name of the weight map with the base prefix of this variant."""
    base = found.variant.base
    if base is None:
        return name
    head = any(
        name == need or name.startswith(need.rpartition(".")[0].split(".")[0] + ".")
        for need in found.variant.required_tensors
    )
    if base == "":
        return name.removeprefix(found.family.base)
    return name if head else base + name.removeprefix(found.family.base)


def _check_whole(entries: list, arrays: dict[str, np.ndarray]) -> None:
    """Raise ConfigMismatch if a parameter has no tensor."""
    placed = {path for entry in entries for path in entry.paths}
    lost = sorted(set(arrays) - placed)
    if lost:
        raise ConfigMismatch(f"this family has no tensor for {', '.join(lost[:5])}")


def _text_files(
    source: ExportSource, folder: Path, found: FamilyMatch, config: Config, caveats: list[str]
) -> list[str]:
    """Write tokenizer and generation config: the imported files, or ones built from the model's.

    caveats: warnings about the tokenizer are appended to it
    """
    kept, tokenizer = source.published, source.tokenizer
    files = [] if kept is None else copy_files(kept, folder)
    kind = architecture(OmegaConf.create({"model": model_with_head(source.config)}))
    writes = kind != "encoder" and found.variant.has_lm_head
    if tokenizer is not None and not files:
        files += write_tokenizer(
            tokenizer,
            folder,
            prompts=writes and kind == "decoder",
            token_types=(config.get("type_vocab_size") or 0) > 1,
        )
        caveats += tokenizer_caveats(tokenizer, folder, files)
    given = source.generation
    if given is None and kept is not None and (kept / GENERATION).is_file():
        shutil.copyfile(kept / GENERATION, folder / GENERATION)
        files.append(GENERATION)
    elif writes and (given or tokenizer is not None):
        own = {name: config[name] for name in GENERATION_IDS if name in config} | (given or {})
        (folder / GENERATION).write_text(json.dumps(own, indent=2, sort_keys=True) + "\n")
        files.append(GENERATION)
    return files
