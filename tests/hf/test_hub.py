"""Hub ids: fetched by the library's own code from a small hub on this machine's loopback."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fxformer.hf import hub
from fxformer.hf.published_model import read_published
from tests.hf.fixture import HERE

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ("config.json", "model.safetensors", "reference.npz")
REPO = "somebody/tiny-bert"
ROOT = Path(__file__).parents[2]


class Hub(BaseHTTPRequestHandler):
    """One repository, as huggingface.co answers for it."""

    asked: list[str] = []

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        Hub.asked.append(path)
        sizes = {name: (HERE / "bert" / name).stat().st_size for name in FILES}
        if path.startswith(f"/api/models/{REPO}/tree/"):
            entries = [
                {"type": "file", "path": n, "size": s, "oid": COMMIT} for n, s in sizes.items()
            ]
            return self.send(json.dumps(entries).encode(), body)
        if path in (f"/api/models/{REPO}", f"/api/models/{REPO}/revision/main"):
            about = {
                "id": REPO,
                "modelId": REPO,
                "sha": COMMIT,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": n} for n in FILES],
            }
            return self.send(json.dumps(about).encode(), body)
        name = path.rpartition("/")[2]
        if path.startswith(f"/{REPO}/resolve/") and name in FILES:
            return self.send((HERE / "bert" / name).read_bytes(), body)
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, content: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *words):
        """Says nothing."""


@pytest.fixture
def endpoint():
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(which: str, tmp_path, **settings) -> subprocess.CompletedProcess:
    """`fxformer import` in a process of its own: the library reads its settings when it loads."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env = clean | {
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": str(ROOT),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **settings,
    }
    words = ["import", which, f"runs={tmp_path / 'runs'}", "--json", "-"]
    return subprocess.run(
        [sys.executable, "-m", "fxformer", *words],
        env=env,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )


FETCH = "import sys; from fxformer.hf.hub import folder_of; print(folder_of(sys.argv[1]))"


def test_a_hub_id_becomes_a_folder_of_what_is_read(endpoint, tmp_path):
    env = os.environ | {
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-c", FETCH, REPO]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    folder = Path(done.stdout.strip())
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert any("/resolve/" in path for path in Hub.asked)
    one = read_published(folder)  # whose files are links into the cache
    assert one.source.read("cls.predictions.bias").shape == (23,)


@pytest.mark.slow
def test_a_hub_id_is_fetched_imported_and_then_found_without_a_network(endpoint, tmp_path):
    done = fetch(REPO, tmp_path, HF_ENDPOINT=endpoint)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said["architecture"] == "BertForPreTraining"
    assert Path(said["run"]).name.endswith("tiny-bert")
    fetched = [path for path in Hub.asked if "/resolve/" in path]
    assert fetched and not any(path.endswith(".npz") for path in fetched)  # only what is read
    again = fetch(REPO, tmp_path, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr[-2000:]
    assert json.loads(again.stdout)["tensors"] == said["tensors"]


@pytest.mark.slow
def test_what_the_hub_has_not_is_said_in_a_line(endpoint, tmp_path):
    done = fetch("somebody/nothing", tmp_path, HF_ENDPOINT=endpoint)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert (
        "somebody/nothing is not a local folder, and downloading it from the hub failed"
        in done.stderr
    )


@pytest.mark.slow
def test_without_a_network_it_says_what_to_do(tmp_path):
    done = fetch(REPO, tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "download" in done.stderr and "give that folder" in done.stderr


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'fxformer\[hf\]'"):
        hub.folder_of("google/anything")


@pytest.mark.parametrize("which", ["./none", "a/b/c", "~/none", "http://example.org/x", "a b"])
def test_what_is_neither_a_folder_nor_an_id(which):
    with pytest.raises(ValueError, match="is not a folder"):
        hub.folder_of(which)
