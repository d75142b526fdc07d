"""`fxformer generate`: the text of `Model.generate`, in pieces, and errors in its own options."""

import io

import pytest

from fxformer.cli.main import main


@pytest.fixture
def generate(run_folder, capsys):
    """(kind, words) -> (exit code, standard output, standard error)."""

    def called(kind, *words):
        code = main(["generate", str(run_folder(kind)), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


def test_a_prompt_is_continued(generate, model_of, monkeypatch):
    (wanted,) = model_of("decoder").generate("the cat", max_new_tokens=6)
    assert generate("decoder", "the cat", "--max-new-tokens", "6") == (0, wanted + "\n", "")
    monkeypatch.setattr("sys.stdin", io.StringIO("the cat\n"))
    assert generate("decoder", "-", "--max-new-tokens=6")[1] == wanted + "\n"
    sampled = ("the cat", "--do-sample", "--seed", "3", "--max-new-tokens", "6")
    (wanted,) = model_of("decoder").generate("the cat", do_sample=True, seed=3, max_new_tokens=6)
    assert generate("decoder", *sampled)[1] == wanted + "\n"


def test_several_texts_are_numbered(generate):
    words = ("the cat", "--num-beams", "2", "--num-return-sequences", "2", "--max-new-tokens", "4")
    code, said, _ = generate("seq2seq", *words)
    assert code == 0 and said.startswith("[1] score -") and "\n[2] score -" in said


def test_errors_name_options_of_the_command(generate):
    for kind, words, said in [
        (
            "decoder",
            ("cat", "--top-p", "0.5"),
            "--top-p 0.5 has an effect on sampling only: write --do-sample too",
        ),
        ("decoder", ("cat", "--do-sample", "--top-p", "2"), "--top-p 2.0: expected a number"),
        (
            "decoder",
            ("cat", "--max-new-tokens", "5000"),
            "write --max-new-tokens 1022 or less\n",
        ),
        ("decoder", ("cat", "--beams", "3"), "has no option --beams; did you mean '--num-beams'"),
        ("decoder", ("",), "PROMPT is empty"),
        ("decoder", ("cat", "--step", "7"), "no checkpoint of step 7"),
        ("encoder", ("cat",), "is an encoder, which generates no text"),
    ]:
        code, out, err = generate(kind, *words)
        assert (code, out) == (2, "") and said in err, err
        assert len(err.splitlines()) == 1


def test_settings_of_conf_generation(generate):
    words = ("the cat", "--max-new-tokens", "4")
    beams = generate("decoder", *words, "--num-beams", "4")
    assert generate("decoder", *words, "--generation", "beam") == beams
    code, _, err = generate("decoder", *words, "--generation", "beem")
    assert (
        code == 2
        and "there are beam, contrastive, diverse_beam, greedy, sample; write --generation beam"
        in err
    )
