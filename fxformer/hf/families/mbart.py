"""mBART and mBART-50. Liu et al. 2020; Tang et al. 2021: BART, pre-norm."""

from fxformer.hf.families.bart import alone, fields, variants, weight_map
from fxformer.hf.family import Family

MBART = Family(
    types=("mbart",),
    model="mbart",
    base="model.",
    config_map=fields("gelu", before=True, normed=True, static=False, scaled=False),
    weight_map=weight_map,
    variants=variants("MBart"),
    when=lambda config: not alone(config),
    ignored_tensors=(r"^(model\.)?(encoder|decoder)\.version$",),
)
