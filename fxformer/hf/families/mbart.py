"""mBART and mBART-50. Liu et al. 2020; Tang et al. 2021: BART, pre-norm."""

from fxformer.hf.families.bart import alone, fields, forms, names
from fxformer.hf.family import Family

MBART = Family(
    types=("mbart",),
    model="mbart",
    base="model.",
    fields=fields("gelu", before=True, normed=True, static=False, scaled=False),
    names=names,
    forms=forms("MBart"),
    when=lambda config: not alone(config),
    ignore=(r"^(model\.)?(encoder|decoder)\.version$",),
)
