"""Secrets: found by key, origin, value and URL; harmless look-alikes left alone."""

import re

import pytest
import yaml

from fxformer.config import folders
from fxformer.track.redact import MASK, Redactor


@pytest.mark.parametrize(
    "key",
    [
        "key",
        "api_key",
        "apikey",
        "wandb_api_key",
        "token",
        "hf_token",
        "client_secret",
        "password",
        "db-password",
        "credentials",
        "API_KEY",
    ],
)
def test_keys_that_hold_secrets(key):
    assert Redactor().config({"a": {key: "canary"}}) == {"a": {key: MASK}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokenizer", "bpe"),
        ("tokens", 4096),
        ("max_tokens", 3),
        ("mask_token", "[MASK]"),
        ("bos_token", "<s>"),
        ("keyboard", "qwerty"),
        ("key", None),
        ("token", True),
    ],
)
def test_what_only_looks_like_one(key, value):
    assert Redactor().config({key: value}) == {key: value}


def test_the_json_field_that_is_read_is_no_secret():
    config = {"data": {"key": "text"}, "wandb": {"key": "canary"}}
    redactor = Redactor(config)
    assert redactor.config(config) == {"data": {"key": "text"}, "wandb": {"key": MASK}}
    assert redactor.value({"config": config})["config"]["data"] == {"key": "text"}
    assert redactor.text("no 'text' in canary") == f"no 'text' in {MASK}"
    words = ["data=jsonl", "data.key=body.text", "+data.key=body", "wandb.key=canary"]
    assert Redactor().arguments(words) == [*words[:3], f"wandb.key={MASK}"]


def test_no_default_of_an_option_is_redacted():
    """A redacted default is missing from the stored config: such a run could not be resumed."""
    root = folders.conf_folder()
    for file in sorted(root.rglob("*/*.yaml")):
        option = yaml.safe_load(re.sub(r"\$\{[^}]*\}", "1", file.read_text())) or {}
        config = {file.relative_to(root).parts[0]: option}
        assert Redactor().value(config) == config, file


def test_a_secret_is_struck_out_wherever_its_value_turns_up():
    redactor = Redactor({"api_key": "canary-1"})
    assert redactor.text("error: canary-1 refused") == f"error: {MASK} refused"
    assert redactor.value({"x": ["a canary-1"]}) == {"x": [f"a {MASK}"]}


def test_the_current_folder_is_no_password(monkeypatch):
    monkeypatch.setenv("PWD", "/home/me/project")
    monkeypatch.setenv("DB_PWD", "canary-password")
    given = {"data": {"files": "/home/me/project/corpus.txt"}, "note": "canary-password"}
    assert Redactor().config(given) == {**given, "note": MASK}


def test_urls_lose_their_credentials():
    assert Redactor().text("git@x https://u:canary@host/p") == f"git@x https://{MASK}@host/p"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:aa/canary@host/db",
        "postgresql://u:c@n/canary@host:5432/db",
        "https://canary@host/p",
        "https://host/p?password=canary",
        "https://host/p?a=1&api_key=canary",
        "s3://b/k?X-Amz-Signature=canary&x=1",
        "host=h user=u password=canary dbname=d",
        "grpc://u:p@ss:canary@h:1",
        "https://h/p?access_token=canary#part",
    ],
)
def test_credentials_of_urls_are_struck_out_wherever_they_stand(text):
    redactor = Redactor()
    assert "canary" not in redactor.text(text) and MASK in redactor.text(text)
    assert "canary" not in " ".join(redactor.arguments(["train", f"search.storage={text}"]))
    assert "canary" not in str(redactor.config({"search": {"storage": text}}))


@pytest.mark.parametrize(
    "text",
    [
        "https://host/p?page=2&n=5",
        "hf://datasets/org/name@main",
        "mail a@b.c",
        "lr=3e-4",
        "https://host:80/p",
        "file:///data/a@b.txt",
        "vocab_size=4 tokens=5000",
    ],
)
def test_urls_and_texts_without_credentials_stay(text):
    assert Redactor().text(text) == text


def test_a_command_line_loses_its_secrets():
    redactor = Redactor()
    words = redactor.arguments(
        [
            "train",
            "wandb.api_key=canary",
            "--token",
            "canary2",
            "key=3",
            "data.files=a.txt",
            "+hf_token='canary3'",
        ]
    )
    assert words == [
        "train",
        f"wandb.api_key={MASK}",
        "--token",
        MASK,
        f"key={MASK}",
        "data.files=a.txt",
        f"+hf_token={MASK}",
    ]
    assert redactor.text("canary2!") == f"{MASK}!"


def test_a_path_in_the_environment_is_no_secret(monkeypatch, tmp_path):
    """PWD ends like a password, and stored configs hold paths below it."""
    gone = "/a/folder/that/is/gone"
    monkeypatch.setenv("PWD", gone)
    monkeypatch.setenv("APPLICATION_CREDENTIALS", str(tmp_path))
    monkeypatch.setenv("SERVICE_TOKEN", "/canary-7")
    config = {"data": {"files": f"{tmp_path}/*.txt", "valid_files": f"{gone}/a.txt"}}
    assert Redactor(config).config(config) == config
    assert Redactor().text("/canary-7") == MASK


def test_secrets_of_the_environment_are_known(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "canary-of-wandb")
    assert Redactor().text("bad key canary-of-wandb") == f"bad key {MASK}"


TOKENS = (
    "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345", "ghp_0123456789abcdefghijABCDEFGHIJ",
    "github_pat_11ABCDEFG0123456789_abcdef", "glpat-0123456789abcdefghij",
    "sk-proj-0123456789abcdefABCDEF-xyz_1", "sk-0123456789abcdefABCDEF", "xoxb-1234567890-abcdef",
    "AKIA0123456789ABCDEF", "AIza0123456789abcdefghijklmnopqrstuvwxy",
    "wandb_v1_0123456789abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9",
)  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("around", ["{}", "use {} here", "({}).", "x={}", '"{}"', "第{}号"])
def test_tokens_of_known_formats_are_struck_out_of_any_text(token, around):
    assert token[8:] not in Redactor().text(around.format(token))


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2hunter2",
        "the API key is abcdef0123456789",
        "token=0123456789abcdef",
        '{"secret": "a1b2c3d4e5"}',
    ],
)
def test_an_assigned_secret_is_struck_out(text):
    shown = Redactor().text(text)
    assert "<redacted>" in shown and not re.search(r"\d", shown)


@pytest.mark.parametrize("text", [
    "e7b583c9f0a1e7b583c9f0a1e7b583c9f0a1aabb", "tokens: 123456789a", "task-bert-tiny-lr-0.001",
    "20261129-235937-bert-tiny-mlm-lr=0.001", "hf_hub", "sk-bert",
    "token: [MASK]", "the token is a",
    "secret of the 3 bears", "tokenizer=bytebpe"])  # fmt: skip
def test_ordinary_text_stays(text):
    assert Redactor().text(text) == text


def test_text_of_a_nest_is_struck_out_in_keys_too_and_what_is_kept_stays():
    token = TOKENS[0]
    given = {"a": [token, 1.5, None, {token: f"x {token}"}], "weights": token, "key": "run-1"}
    shown = Redactor().texts(given, keep=("run-1",), skip=("weights",))
    assert shown == {"a": ["<redacted>", 1.5, None, {"<redacted>": "x <redacted>"}],
                     "weights": token, "key": "run-1"}  # fmt: skip
