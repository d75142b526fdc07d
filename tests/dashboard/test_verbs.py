"""`fxformer dashboard` and `fxformer report` as a person types them."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from folders import finished

from fxformer.__main__ import main


def test_the_dashboard_says_where_it_is_and_ends_on_ctrl_c(tmp_path):
    finished(tmp_path)
    command = [
        sys.executable,
        "-m",
        "fxformer",
        "dashboard",
        f"runs={tmp_path}",
        "--port",
        "0",
        "--token",
    ]
    # where the tests run in the background of a script, their children would ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            words = process.stdout.readline()
            url = words.rsplit(" at ", 1)[1].strip()
            assert words.startswith("1 run of") and url.startswith("http://127.0.0.1:")
            address, _, token = url.partition("?token=")
            assert len(token) > 20  # drawn
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{address}api/runs", timeout=120)
            asked = urllib.request.Request(
                f"{address}api/runs", headers={"Authorization": f"Bearer {token}"}
            )
            assert len(json.load(urllib.request.urlopen(asked, timeout=120))["runs"]) == 1
            process.send_signal(signal.SIGINT)
            assert process.wait(300) == 0
        finally:
            process.kill()  # a failure must not wait for it


@pytest.mark.parametrize(
    "words, said",
    [
        (["runs=nowhere"], "there is no folder nowhere"),
        (["--host", "0.0.0.0"], "--token"),
    ],
)
def test_a_dashboard_that_cannot_be_is_refused(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "runs")
    assert main(["dashboard", *words]) == 2 and said in capsys.readouterr().err


def test_a_port_in_use_is_said(tmp_path, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["dashboard", f"runs={tmp_path}", "--port", str(port)]) == 2
    assert "--port 0" in capsys.readouterr().err


def held(path):
    text = path.read_text(encoding="utf-8")
    data = text.partition('id="answers">')[2].partition("</script>")[0]
    return sorted(run["name"] for run in json.loads(data)["runs"]["runs"])


def test_a_report_is_on_a_folder_or_on_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two", "three"):
        finished(tmp_path / "runs", name)
    finished(tmp_path / "other", "four")
    assert main(["report"]) == 0 and held(tmp_path / "report.html") == ["one", "three", "two"]
    assert main(["report", "two", "one", "-o", "some.html"]) == 0
    assert held(tmp_path / "some.html") == ["one", "two"]
    assert main(["report", "runs=other", "-o", "other.html"]) == 0
    assert held(tmp_path / "other.html") == ["four"]
    (run,) = (tmp_path / "other").glob("2*")
    assert main(["report", str(run), "-o", "run.html"]) == 0
    assert held(tmp_path / "run.html") == ["four"]
    assert "1 run," in capsys.readouterr().out


@pytest.mark.parametrize("words, said", [(["nothing"], "nearest"), ([], "no runs in runs/")])
def test_a_report_on_nothing_is_refused(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    if words:
        finished(tmp_path / "runs")
    assert main(["report", *words]) == 2 and said in capsys.readouterr().err
