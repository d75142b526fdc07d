"""Config maps: correspondence between fields of config.json and config overrides.

Every field of a family's config.json is declared once by one of the classes below, which convert
it in both directions: a value, a choice of a config group, a required constant, a switch, or a
field that does not affect the outputs. A field that is not declared is an error.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from fxformer.config.options import chosen
from fxformer.errors import UserError
from fxformer.hf.canonical_config import select

Config = dict[str, Any]  # config.json


class ConfigMismatch(UserError):
    """A config that cannot be expressed on the other side."""


@dataclasses.dataclass(frozen=True)
class Value:
    """A field that corresponds to a config value.

    name: field of config.json
    key: override key
    default: value that transformers uses if config.json lacks the field
    free: does not affect the model's outputs in evaluation (dropout, initialisation)
    at: where the canonical config has the value, if not at `key`
    """

    name: str
    key: str
    default: Any = None
    free: bool = False
    at: str | None = None

    def overrides(self, config: Config) -> list[str]:
        """Config overrides for a config.json. ConfigMismatch if it has no counterpart."""
        value = config.get(self.name, self.default)
        if value is None and self.free:
            return []
        if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigMismatch(f"config.json: {self.name}={value!r} is not a number")
        return [f"{self.key}={override_value(value)}"]

    def values(self, model: dict) -> Config:
        """Fields of config.json for a canonical config. ConfigMismatch without counterpart."""
        return {self.name: select(model, self.at or self.key)}


@dataclasses.dataclass(frozen=True)
class Choice:
    """A field that corresponds to an option of a config group.

    group: config group, as model/act
    options: values of the field -> option; the first value of an option is the one written
    """

    name: str
    group: str
    options: Mapping[Any, str]
    default: Any = None

    def overrides(self, config: Config) -> list[str]:
        word = config.get(self.name, self.default)
        if isinstance(word, (list, dict)) or word not in self.options:
            raise ConfigMismatch(
                f"config.json: {self.name}={word!r} has no counterpart; "
                f"known: {', '.join(map(str, self.options))}"
            )
        return [f"{self.group}={self.options[word]}"]

    def values(self, model: dict) -> Config:
        key = self.group.replace("/", ".")
        option = chosen(self.group, select(model, key), set(self.options.values()))
        words = [word for word, name in self.options.items() if name == option]
        if not words:
            raise ConfigMismatch(f"{key} has no value of {self.name}")
        return {self.name: words[0]}


@dataclasses.dataclass(frozen=True)
class RequiredValue:
    """A field that must have this value (or one of `also`, which are equivalent)."""

    name: str
    value: Any
    also: tuple = ()
    write: bool = True

    def overrides(self, config: Config) -> list[str]:
        found = config.get(self.name, self.value)
        if found != self.value and found not in self.also:
            raise ConfigMismatch(
                f"config.json: {self.name}={found!r} has no counterpart, only {self.value!r}"
            )
        return []

    def values(self, model: dict) -> Config:
        return {self.name: self.value} if self.write else {}


@dataclasses.dataclass(frozen=True)
class Switch:
    """A field that says whether the model has a part (the preset's) or null.

    present, absent: values of the field for either
    """

    name: str
    key: str
    present: Any
    absent: Any

    def overrides(self, config: Config) -> list[str]:
        found = config.get(self.name, self.absent)
        if found not in (self.present, self.absent):
            raise ConfigMismatch(
                f"config.json: {self.name}={found!r} has no counterpart, only {self.present!r} and "
                f"{self.absent!r}"
            )
        return [] if found == self.present else [f"{self.key}=null"]

    def values(self, model: dict) -> Config:
        return {self.name: self.absent if select(model, self.key) is None else self.present}


@dataclasses.dataclass(frozen=True)
class Ignored:
    """Fields that do not affect the outputs, or that follow from the weights."""

    names: tuple[str, ...]

    def overrides(self, config: Config) -> list[str]:
        return []

    def values(self, model: dict) -> Config:
        return {}


@dataclasses.dataclass(frozen=True)
class Implied(Ignored):
    """Overrides that all models of a family need and that no field determines."""

    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def overrides(self, config: Config) -> list[str]:
        return list(self.words)


Field = Value | Choice | RequiredValue | Switch | Ignored

# Fields of every family's config.json: provenance, run-time options, generation, labels.
COMMON = (
    RequiredValue("pruned_heads", {}, also=(None,), write=False),
    RequiredValue("is_decoder", False, also=(None, True), write=False),
    RequiredValue("add_cross_attention", False, also=(None,), write=False),
    Ignored(
        (
            *("architectures", "model_type", "transformers_version", "dtype", "torch_dtype"),
            *("_name_or_path", "name_or_path", "_commit_hash", "use_cache", "return_dict"),
            *("output_attentions", "output_hidden_states", "torchscript", "use_bfloat16"),
            *("gradient_checkpointing", "chunk_size_feed_forward", "is_encoder_decoder"),
            *("tie_encoder_decoder", "cross_attention_hidden_size", "tokenizer_class"),
            *("_attn_implementation_autoset", "attn_implementation", "tf_legacy_loss"),
            *("id2label", "label2id", "_num_labels", "num_labels", "problem_type"),
            *("finetuning_task", "task_specific_params", "prefix", "tie_word_embeddings"),
            *("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id"),
            *("cls_token_id", "mask_token_id", "unk_token_id", "decoder_start_token_id"),
            *("forced_bos_token_id", "forced_eos_token_id", "bad_words_ids", "max_length"),
            *("min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups"),
            *("diversity_penalty", "temperature", "top_k", "top_p", "typical_p"),
            *("repetition_penalty", "length_penalty", "no_repeat_ngram_size"),
            *("encoder_no_repeat_ngram_size", "num_return_sequences", "output_scores"),
            *("return_dict_in_generate", "remove_invalid_values", "suppress_tokens"),
            *("begin_suppress_tokens", "exponential_decay_length_penalty", "output_past"),
            *("force_bos_token_to_be_generated", "forced_decoder_ids", "force_words_ids"),
            *("renormalize_logits", "max_new_tokens", "min_new_tokens", "penalty_alpha"),
            *("epsilon_cutoff", "eta_cutoff", "cache_implementation", "low_memory"),
        )
    ),
    # Left by transformers' run-time options, trainers, distillation and converters: no class of
    # the families here computes anything from these.
    Ignored(
        (
            *("_attn_implementation", "_attn_implementation_internal", "_output_attentions"),
            *("_experts_implementation", "experts_implementation", "_flash_attn_2_enabled"),
            *("_use_flash_attention_2", "xla_device", "is_composition", "model_parallel"),
            *("neftune_noise_alpha", "tie_weights_", "generator_size", "layers_to_keep"),
            *("replacing_rate", "save_step", "student_encoder_layers", "student_decoder_layers"),
            *("custom_pipelines", "transformers.js_config", "language", "name", "license"),
            *("unsloth_fixed", "unsloth_version", "model_max_length", "max_sequence_length"),
            *("seq_length", "is_llama_config", "n_special", "predict_special_tokens"),
            *("summary_activation", "summary_first_dropout", "summary_last_dropout"),
            *("summary_proj_to_labels", "summary_type", "summary_use_proj", "classifier_dropout"),
        )
    ),
)


def override_value(value: Any) -> str:
    """A value in override syntax. ConfigMismatch for text that is not a single word."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{override_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(override_value(item) for item in value) + "]"
    if not re.fullmatch(r"[\w.+-]+", str(value)):
        raise ConfigMismatch(f"config.json: expected a number, got {value!r}")
    return repr(value) if isinstance(value, float) else str(value)
