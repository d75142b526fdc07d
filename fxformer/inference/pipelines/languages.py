"""Languages of translation models: codes as tokens (mBART, M2M100, NLLB), prefixes (T5)."""

import re

import numpy as np

from fxformer.config.type_check import nearest
from fxformer.data.language_codes import M2M100, MBART50
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError

NAMES = {"en": "English", "de": "German", "fr": "French", "ro": "Romanian"}  # of T5's tasks
TASK = re.compile(r"translation_(\w+)_to_(\w+)")
CODED = ("mbart", "m2m_100")  # families whose languages are tokens


def language_id(code: str, tokenizer: Tokenizer, option: str) -> int:
    """The id of the token of a language. UserError, naming the nearest code, if there is none.

    option: that names the language, for the message
    An ordinary token that is spelled like a code, as `en` is in M2M100, is none.
    """
    for name in (f"__{code}__", code):
        found = tokenizer.id_of(name)
        if found is not None and tokenizer.vocabulary.special[found]:
            return found
    alike = [known for known in (*MBART50, *M2M100) if known[:2] == code[:2]]
    near = f"; did you mean {alike[0]!r}?" if alike else nearest(code, (*MBART50, *M2M100))
    raise UserError(f"{option}={code!r} is no language of the tokenizer{near}")


def source_with_language(
    ids: np.ndarray, language: int, tokenizer: Tokenizer, *, behind: bool
) -> np.ndarray:
    """Ids of a source with the token of its language. [s] int32.

    behind: text eos language (mBART); False: language text eos (mBART-50, M2M100, NLLB)
    """
    eos = np.array([] if tokenizer.ids.eos is None else [tokenizer.ids.eos], np.int32)
    mark = np.array([language], np.int32)
    parts = [ids, eos, mark] if behind else [mark, ids, eos]
    return np.concatenate(parts).astype(np.int32)
