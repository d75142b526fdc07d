"""text-classification, zero-shot-classification and feature-extraction beside transformers 4.46."""

import numpy as np
import pytest
from inference.pipelines.reference import cases, model, names, same, together

from fxformer.errors import UserError
from fxformer.inference.pipelines.tasks import pipeline


@pytest.mark.parametrize("name", names("text-classification"))
def test_classes_and_scores_are_those_of_transformers(name):
    made = pipeline("text-classification", model(name))
    for case, found in together(made, cases(name, "text-classification")):
        listed = isinstance(case["input"], list) or "top_k" in case["options"]
        same(found if listed else [found], case["output"], str(case["options"]))
    one = cases(name, "text-classification")[0]
    same(made(one["input"], **one["options"]), one["output"])


@pytest.mark.parametrize("name", names("zero-shot-classification"))
def test_zero_shot_is_that_of_transformers(name):
    made = pipeline("zero-shot-classification", model(name))
    for case, found in together(made, cases(name, "zero-shot-classification")):
        same(found, case["output"], str(case["options"]))


@pytest.mark.parametrize("name", names("feature-extraction"))
def test_features_are_those_of_transformers(name):
    made = pipeline("feature-extraction", model(name))
    for case, found in together(made, cases(name, "feature-extraction")):
        same(found, case["output"])


def test_the_mean_of_features_leaves_out_padding():
    made = pipeline("feature-extraction", model("bert_mlm"))
    texts = ["Paris", "The ship left the harbour of Rotterdam before dawn"]
    tokens, means = made(texts), made(texts, pool="mean", layers=[0, -1])
    for one, mean in zip(tokens, means, strict=True):
        np.testing.assert_allclose(mean[1], one[0].mean(0), rtol=1e-5, atol=1e-6)
        assert mean.shape == (2, one.shape[-1])
    np.testing.assert_allclose(made(texts[0], pool="first"), tokens[0][0, 0], atol=1e-5)
    with pytest.raises(UserError, match="bert_mlm has layers 1 … 2"):
        made(texts[0], layers=[0, 3])


def test_a_regression_gives_its_number():
    made = pipeline("text-classification", model("bert_regression"))
    raw = [case["output"][0]["score"] for case in cases("bert_regression", "text-classification")]
    texts = [case["input"] for case in cases("bert_regression", "text-classification")]
    same([one["score"] for one in made(texts)], raw)


def test_a_text_that_is_too_long_is_refused_with_its_length():
    made = pipeline("text-classification", model("bert_classes"))
    with pytest.raises(UserError, match="the text has .* tokens .* reads at most 96"):
        made("harbour " * 90)


def test_zero_shot_without_labels_or_template_is_refused():
    made = pipeline("zero-shot-classification", model("bert_classes"))
    with pytest.raises(UserError, match="candidate_labels="):
        made("A ship")
    for template in ("no place", "{} {}", "{", "}", "{x}"):
        with pytest.raises(UserError, match="must hold {} once"):
            made("A ship", candidate_labels=["ships"], hypothesis_template=template)


def test_options_and_heads_are_checked():
    with pytest.raises(UserError, match="has no option topk; did you mean 'top_k'"):
        pipeline("text-classification", model("bert_classes"), topk=1)
    with pytest.raises(UserError, match="top_k: "):
        pipeline("text-classification", model("bert_classes"), top_k="two")
    with pytest.raises(UserError, match="needs the task head 'token_classification'"):
        pipeline("ner", model("bert_classes"))
    with pytest.raises(UserError, match="label 'entailment'"):
        pipeline("zero-shot-classification", model("bert_multilabel"))
    with pytest.raises(UserError, match="did you mean 'fill-mask'"):
        pipeline("fill-masks", model("bert_classes"))
