"""Secrets: found by key, origin, value and URL; harmless look-alikes left alone."""

import pytest

from fxformer.track.redact import MASK, Redactor


@pytest.mark.parametrize("key", [
    "key", "api_key", "apikey", "wandb_api_key", "token", "hf_token", "client_secret", "password",
    "db-password", "credentials", "API_KEY",
])
def test_keys_that_hold_secrets(key):
    assert Redactor().config({"a": {key: "canary"}}) == {"a": {key: MASK}}


@pytest.mark.parametrize(("key", "value"), [
    ("tokenizer", "bpe"), ("tokens", 4096), ("max_tokens", 3), ("mask_token", "[MASK]"),
    ("bos_token", "<s>"), ("keyboard", "qwerty"), ("key", None), ("token", True),
])
def test_what_only_looks_like_one(key, value):
    assert Redactor().config({key: value}) == {key: value}


def test_a_secret_is_struck_out_wherever_its_value_turns_up():
    redactor = Redactor({"api_key": "canary-1"})
    assert redactor.text("error: canary-1 refused") == f"error: {MASK} refused"
    assert redactor.value({"x": ["a canary-1"]}) == {"x": [f"a {MASK}"]}


def test_urls_lose_their_credentials():
    assert Redactor().text("git@x https://u:canary@host/p") == f"git@x https://{MASK}@host/p"


def test_a_command_line_loses_its_secrets():
    redactor = Redactor()
    words = redactor.arguments(["train", "wandb.api_key=canary", "--token", "canary2", "key=3",
                                "data.files=a.txt", "+hf_token='canary3'"])
    assert words == ["train", f"wandb.api_key={MASK}", "--token", MASK, f"key={MASK}",
                     "data.files=a.txt", f"+hf_token={MASK}"]
    assert redactor.text("canary2!") == f"{MASK}!"


def test_secrets_of_the_environment_are_known(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "canary-of-wandb")
    assert Redactor().text("bad key canary-of-wandb") == f"bad key {MASK}"
