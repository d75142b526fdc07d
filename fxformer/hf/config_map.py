"""What a field of config.json is called here: the words of a config map, read in both directions.

Every field of a family's config.json is named once, by one of the classes below: it is a knob of
ours, a choice of ours, must have one value, or says nothing about the numbers. A field that is not
named is an error, never passed over.
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
    """A config that has no counterpart on the other side."""


@dataclasses.dataclass(frozen=True)
class Knob:
    """A number of theirs that is a number of ours.

    file: its name in config.json
    key: ours, an override key
    default: what transformers takes where config.json does not say it
    free: it does not change what a model computes (dropout, the initial deviation)
    at: where a settled config of ours says it, if that is not `key` (one stack's own)
    """

    file: str
    key: str
    default: Any = None
    free: bool = False
    at: str | None = None

    def overrides(self, config: Config) -> list[str]:
        """What to say on our side."""
        value = config.get(self.file, self.default)
        if value is None and self.free:
            return []
        if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigMismatch(f"config.json: {self.file}={value!r} is no number")
        return [f"{self.key}={spelt(value)}"]

    def values(self, model: dict) -> Config:
        """What to say on theirs, given a settled config of ours."""
        return {self.file: select(model, self.at or self.key)}


@dataclasses.dataclass(frozen=True)
class Choice:
    """A word of theirs that is an option of one of our config groups.

    group: ours, as model/act; options: their words -> our option; the first word of an option is
    the one that is written
    """

    file: str
    group: str
    options: Mapping[str, str]
    default: Any = None

    def overrides(self, config: Config) -> list[str]:
        word = config.get(self.file, self.default)
        if isinstance(word, (list, dict)) or word not in self.options:
            raise ConfigMismatch(
                f"config.json: {self.file}={word!r} has no counterpart; "
                f"known: {', '.join(map(str, self.options))}"
            )
        return [f"{self.group}={self.options[word]}"]

    def values(self, model: dict) -> Config:
        key = self.group.replace("/", ".")
        option = chosen(self.group, select(model, key), set(self.options.values()))
        words = [word for word, name in self.options.items() if name == option]
        if not words:
            raise ConfigMismatch(f"{key} is none that {self.file} can say")
        return {self.file: words[0]}


@dataclasses.dataclass(frozen=True)
class Only:
    """A field that must have the value we compute with (or one of `also`, which means the same)."""

    file: str
    value: Any
    also: tuple = ()
    write: bool = True

    def overrides(self, config: Config) -> list[str]:
        found = config.get(self.file, self.value)
        if found != self.value and found not in self.also:
            raise ConfigMismatch(
                f"config.json: {self.file}={found!r} has no counterpart, only {self.value!r}"
            )
        return []

    def values(self, model: dict) -> Config:
        return {self.file: self.value} if self.write else {}


@dataclasses.dataclass(frozen=True)
class Switch:
    """A field that says whether we have a part, as our preset gives it, or null.

    present, absent: its values for either
    """

    file: str
    key: str
    present: Any
    absent: Any

    def overrides(self, config: Config) -> list[str]:
        found = config.get(self.file, self.absent)
        if found not in (self.present, self.absent):
            raise ConfigMismatch(
                f"config.json: {self.file}={found!r} has no counterpart, only {self.present!r} and "
                f"{self.absent!r}"
            )
        return [] if found == self.present else [f"{self.key}=null"]

    def values(self, model: dict) -> Config:
        return {self.file: self.absent if select(model, self.key) is None else self.present}


@dataclasses.dataclass(frozen=True)
class Silent:
    """Fields that say nothing about the numbers, or nothing that the weights do not say."""

    files: tuple[str, ...]

    def overrides(self, config: Config) -> list[str]:
        return []

    def values(self, model: dict) -> Config:
        return {}


@dataclasses.dataclass(frozen=True)
class Fixed(Silent):
    """Choices that all models of a family have and that no field says, as override words."""

    files: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def overrides(self, config: Config) -> list[str]:
        return list(self.words)


Field = Knob | Choice | Only | Switch | Silent

# In every family's config.json: who wrote it, how it is run, what generation and labels are like.
COMMON = (
    Only("pruned_heads", {}, also=(None,), write=False),
    Only("is_decoder", False, also=(None, True), write=False),
    Only("add_cross_attention", False, also=(None,), write=False),
    Silent(
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
    # How transformers runs a model, and what trainers, distillation and converters leave behind:
    # no class of the families here computes anything from these.
    Silent(
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


def spelt(value: Any) -> str:
    """A value as an override spells it. ConfigMismatch for text that would be more than a word."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{spelt(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(spelt(item) for item in value) + "]"
    if not re.fullmatch(r"[\w.+-]+", str(value)):
        raise ConfigMismatch(f"config.json: {value!r} stands where a number should")
    return repr(value) if isinstance(value, float) else str(value)
