"""fill-mask beside transformers 4.46, and where it differs on purpose."""

import pytest
from inference.pipelines.reference import cases, model, names, same, together

from fxformer.errors import UserError
from fxformer.inference.pipelines.tasks import pipeline


def without_sequence(value):
    if isinstance(value, list):
        return [without_sequence(one) for one in value]
    return {key: one for key, one in value.items() if key != "sequence"}


@pytest.mark.parametrize("name", names("fill-mask"))
def test_tokens_and_scores_are_those_of_transformers(name):
    made = pipeline("fill-mask", model(name))
    some = cases(name, "fill-mask")
    for case in some:
        if "targets" in case["options"]:
            targets = [word.replace("Ġ", " ") for word in case["options"]["targets"]]
            case["options"] = {"targets": targets}
    for case, found in together(made, some):
        same(without_sequence(found), without_sequence(case["output"]), str(case["options"]))


def test_the_sequence_is_the_text_with_the_mask_replaced():
    made = pipeline("fill-mask", model("roberta_mlm"), top_k=400)
    filled = {one["token_str"]: one["sequence"] for one in made("The ship left\n <mask> at dawn.")}
    assert filled[" the"] == "The ship left\n the at dawn."
    assert filled["t"] == "The ship leftt at dawn."
    uncased = pipeline("fill-mask", model("bert_mlm"), top_k=200)
    filled = {one["token_str"]: one["sequence"] for one in uncased("The SHIP  [MASK], 1,[MASK]")[1]}
    assert filled["the"] == "The SHIP  [MASK], 1,the"
    assert filled["##s"] == "The SHIP  [MASK], 1,s"


def test_a_target_is_one_token_or_refused():
    made = pipeline("fill-mask", model("roberta_mlm"))
    with pytest.raises(UserError, match="'pizza' is 6 tokens .*'p', 'i', 'z'"):
        made("He ate a <mask>.", targets=["pizza"])
    (one,) = made("He left <mask> harbour.", targets="the")
    assert one["token_str"] == " the"
    with pytest.raises(UserError, match="targets is empty"):
        made("He left <mask> harbour.", targets=[])


def test_left_to_right_reads_what_it_wrote():
    made = pipeline("fill-mask", model("bert_mlm"), top_k=3)
    text = "The [MASK] left the [MASK] before [MASK]."
    first, second, third = made(text, order="left_to_right")
    same(first, [{**one, "sequence": one["sequence"]} for one in made(text)[0]])
    partly = first[0]["sequence"]
    assert partly.count("[MASK]") == 2
    same(without_sequence(second), without_sequence(made(partly)[0]))
    same(third, made(second[0]["sequence"]))


def test_texts_without_a_mask_are_refused():
    made = pipeline("fill-mask", model("bert_mlm"))
    with pytest.raises(UserError, match=r"no mask \[MASK\]: .* not <mask>"):
        made("The <mask>.")
    with pytest.raises(UserError, match="fill-mask needs an encoder"):
        pipeline("fill-mask", model("gpt2_text"))
    with pytest.raises(UserError, match="no language-model head"):
        pipeline("fill-mask", model("bert_span"))
