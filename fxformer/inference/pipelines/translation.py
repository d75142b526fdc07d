"""translation: text2text-generation between two languages, by codes or by a prefix."""

import dataclasses
from typing import Any

import numpy as np

from fxformer.data.language_codes import MBART50
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.pipelines.inputs import token_ids, tokenizer_of
from fxformer.inference.pipelines.languages import (
    CODED,
    NAMES,
    TASK,
    language_id,
    source_with_language,
)
from fxformer.inference.pipelines.text2text_generation import Text2TextGeneration, Text2TextOptions


@dataclasses.dataclass(frozen=True)
class TranslationOptions(Text2TextOptions):
    """src_lang, tgt_lang: languages as the model writes them: en_XX (mBART), en (M2M100, T5),
    eng_Latn (NLLB); None: the model knows one pair, or the task names it
    """

    src_lang: str | None = None
    tgt_lang: str | None = None


class Translation(Text2TextGeneration):
    """[{"translation_text": …}, …]; the rest as of text2text-generation.

    Of models whose languages are tokens, the source has that of src_lang and the output begins
    with that of tgt_lang. Others take a prefix: that of config.json for translation_XX_to_YY, or
    "translate English to German: ".
    """

    task = "translation"
    Options = TranslationOptions
    key = "translation_text"

    def default_options(self) -> Any:
        """As the model's files say; a task translation_XX_to_YY names the languages."""
        found = TASK.fullmatch(self.name)
        pair = found.groups() if found else (None, None)
        return dataclasses.replace(super().default_options(), src_lang=pair[0], tgt_lang=pair[1])

    @property
    def _coded(self) -> bool:
        """Whether the model's languages are tokens."""
        return self.card.family in CODED

    def config(self, options: Any) -> GenerationConfig:
        config = super().config(options)
        if not self._coded:
            return config
        target = self._language(options.tgt_lang, "tgt_lang")
        return config.replace(forced_bos_token_id=target)

    def prefix(self, options: Any) -> str:
        """What is put in front of a text of a model without tokens for languages."""
        found = super().prefix(options)
        if found or options.prefix is not None or self._coded:
            return found
        codes = (options.src_lang, options.tgt_lang)
        named = f"translation_{codes[0]}_to_{codes[1]}"
        if named in self.card.task_params:
            return str(self.card.task_params[named].get("prefix", ""))
        if self.card.family in ("t5", "mt5") and all(code in NAMES for code in codes):
            return f"translate {NAMES[codes[0]]} to {NAMES[codes[1]]}: "
        return ""

    def source(self, text: str, options: Any) -> np.ndarray:
        if not self._coded:
            return super().source(text, options)
        language = self._language(options.src_lang, "src_lang")
        tokenizer = tokenizer_of(self.model)
        ids = token_ids(tokenizer, self.prefix(options) + text)
        behind = self.card.family == "mbart" and tokenizer.id_of(MBART50[-1]) is None
        return source_with_language(ids, language, tokenizer, behind=behind)

    def _language(self, code: str | None, option: str) -> int:
        if code is None:
            raise UserError(
                f"{self.model.name} needs its languages: src_lang=en_XX tgt_lang=fr_XX for mBART, "
                "en and fr for M2M100, eng_Latn and fra_Latn for NLLB"
            )
        return language_id(code, tokenizer_of(self.model), option)
