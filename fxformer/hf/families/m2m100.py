"""M2M100 and NLLB. Fan et al. 2021; Costa-jussà et al. 2022: pre-norm with fixed positions."""

from fxformer.hf.families.bart import fields, weight_map
from fxformer.hf.family import Family, HeadVariant, untied

M2M100 = Family(
    types=("m2m_100",),
    model="m2m100",
    base="model.",
    config_map=fields("relu", before=True, normed=False, static=True, scaled=True),
    weight_map=weight_map,
    variants=(
        HeadVariant(
            "M2M100ForConditionalGeneration",
            overrides=("model/head=untied",),
            when=untied("lm_head.weight", "model.shared.weight"),
            config={"tie_word_embeddings": False},
        ),
        HeadVariant("M2M100ForConditionalGeneration"),
        HeadVariant("M2M100Model", overrides=("model/head=none",), base=""),
    ),
    ignored_tensors=(r"embed_positions\.weights?$", r"^(model\.)?(encoder|decoder)\.version$"),
)
