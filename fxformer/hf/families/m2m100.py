"""M2M100 and NLLB. Fan et al. 2021; Costa-jussà et al. 2022: pre-norm with fixed positions."""

from fxformer.hf.families.bart import fields, names
from fxformer.hf.family import Family, Form, untied

M2M100 = Family(
    types=("m2m_100",),
    model="m2m100",
    base="model.",
    fields=fields("relu", before=True, normed=False, static=True, scaled=True),
    names=names,
    forms=(
        Form(
            "M2M100ForConditionalGeneration",
            overrides=("model/head=untied",),
            when=untied("lm_head.weight", "model.shared.weight"),
            config={"tie_word_embeddings": False},
        ),
        Form("M2M100ForConditionalGeneration"),
        Form("M2M100Model", overrides=("model/head=none",), base=""),
    ),
    ignore=(r"embed_positions\.weights?$", r"^(model\.)?(encoder|decoder)\.version$"),
)
