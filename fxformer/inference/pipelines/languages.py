"""Languages of translation models: codes as tokens (mBART, M2M100, NLLB), prefixes (T5)."""

import re

import numpy as np

from fxformer.config.type_check import nearest
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError

# M2M100 numbers its languages in this order behind its vocabulary (Fan et al. 2021)
M2M100 = (
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu "
    "ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms "
    "my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur "
    "uz vi wo xh yi yo zh zu"
).split()
# mBART-50 has those of mBART and these behind them (Tang et al. 2020)
MBART = (
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT "
    "lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN"
).split()
MBART50 = (
    MBART
    + (
        "af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF "
        "pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"
    ).split()
)
NAMES = {"en": "English", "de": "German", "fr": "French", "ro": "Romanian"}  # of T5's tasks
TASK = re.compile(r"translation_(\w+)_to_(\w+)")
CODED = ("mbart", "m2m_100")  # families whose languages are tokens


def language_id(code: str, tokenizer: Tokenizer, option: str) -> int:
    """The id of the token of a language. UserError, naming the nearest code, if there is none.

    option: that names the language, for the message
    """
    for name in (code, f"__{code}__"):
        found = tokenizer.id_of(name)
        if found is not None:
            return found
    first = tokenizer.id_of("<language_0>")
    if first is not None and code in MBART50:
        return first + MBART50.index(code)
    bare = code.strip("_")
    if first is None and bare in M2M100 and tokenizer.id_of(MBART[0]) is None:
        return tokenizer.vocabulary.size + M2M100.index(bare)
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
