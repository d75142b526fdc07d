"""Refusals of the command line."""

from fxformer.cli.errors import composition


class Unknown(Exception):
    pass


def said(word: str, *choices: str) -> str:
    key = word.partition("=")[0]
    return composition(Unknown(f"Could not override '{key}'."), [*choices, word])


def test_a_key_of_another_option_names_that_option_and_the_keys_there_are():
    sentence = said("data.column=body", "data=jsonl")
    assert "only data=csv or huggingface or parquet has this key" in sentence
    assert ", key, " in sentence and "did you mean" not in sentence


def test_a_key_of_no_option_gets_the_nearest_one():
    assert "did you mean 'trainer.steps'" in said("trainer.step=5")
