"""Who is answered, and what is refused: with plain requests, as an attacker would make them."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from browser import served
from folders import finished

from fxformer.dashboard.auth import RequestAuth
from fxformer.dashboard.run_index import RunIndex
from fxformer.dashboard.server import Server


def ask(url, path="/", method="GET", body=None, **headers):
    """(status, headers, text); headers with _ for -, None to leave one out."""
    at = urlsplit(url)
    link = http.client.HTTPConnection(at.hostname, at.port, timeout=120)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    host = named.pop("Host", at.netloc)
    link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if host is not None:
        link.putheader("Host", host)
    if body is not None:
        named.setdefault("Content-Length", str(len(body)))
    for name, value in named.items():
        link.putheader(name, value)
    link.endheaders()
    if body is not None:
        link.send(body.encode())
    answer = link.getresponse()
    text = answer.read().decode()
    link.close()
    return answer.status, dict(answer.getheaders()), text


@pytest.fixture
def url(tmp_path):
    finished(tmp_path)
    with served(RunIndex(tmp_path)) as url:
        yield url


def test_it_answers_the_page_its_parts_and_the_runs(url):
    status, headers, text = ask(url)
    assert status == 200 and "<main" in text and headers["Content-Type"].startswith("text/html")
    assert ask(url, "/runs.js")[0] == ask(url, "/style.css")[0] == 200
    status, headers, text = ask(url, "/api/runs")
    assert status == 200 and len(json.loads(text)["runs"]) == 1
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert len(ask(url, "/plotly.js")[2]) > 1e6


def test_it_listens_to_this_machine_alone(url):
    with pytest.raises(OSError):  # another address of this machine's own loop
        socket.create_connection(("127.0.0.2", urlsplit(url).port), timeout=2)


def test_the_policy_names_no_other_host(url):
    policy = ask(url)[1]["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "http" not in policy and "*" not in policy
    assert "unsafe-eval" not in policy and "script-src 'self';" in policy


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", None,
                                  "127.0.0.1:1", "127.0.0.1.evil.example:{port}",
                                  "10.0.0.1:{port}"])  # fmt: skip
def test_another_name_for_this_address_is_not_answered(url, host):
    host = host and host.format(port=urlsplit(url).port)
    status, _, text = ask(url, "/api/runs", Host=host)
    assert status == 421 and "runs" not in text


def test_localhost_is_a_name_of_ours(url):
    assert ask(url, "/api/runs", Host=f"localhost:{urlsplit(url).port}")[0] == 200


@pytest.mark.parametrize("path", [
    "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/%2e%2e/x", "/index.html/..",
    "/page/index.html", "/__init__.py", "/../routes.py", "/api/", "/api/nothing", "/api/../runs",
    "/.dashboard/configs.json", "/metrics.jsonl"])  # fmt: skip
def test_there_are_no_other_files(url, path):
    assert ask(url, path)[0] == 404


@pytest.mark.parametrize("run", ["..%2F..%2Fetc", "%2Fetc", "..", "x%00y"])
def test_a_run_is_one_of_the_list(url, run):
    status, _, text = ask(url, f"/api/run?run={run}")
    assert status == 400 and "there is no run" in text


def notes(url, key, **headers):
    body = json.dumps({"key": key, "notes": "seen"})
    return ask(url, "/api/notes", "POST", body, Content_Type="application/json", **headers)


def test_a_change_comes_from_the_page_itself(url):
    (run,) = json.loads(ask(url, "/api/runs")[2])["runs"]
    own = url.rstrip("/")
    assert notes(url, run["key"])[0] == 403  # a form elsewhere sends none, or its own
    assert notes(url, run["key"], Origin="http://evil.example")[0] == 403
    assert notes(url, run["key"], Origin="null")[0] == 403
    assert notes(url, run["key"], Origin=own, Sec_Fetch_Site="cross-site")[0] == 403
    assert notes(url, run["key"], Origin=own, Host="evil.example:1")[0] == 421
    assert json.loads(ask(url, "/api/runs")[2])["runs"][0]["notes"] == ""
    assert notes(url, run["key"], Origin=own)[0] == 200
    assert json.loads(ask(url, "/api/runs")[2])["runs"][0]["notes"] == "seen"


def test_changes_are_small_and_json(url):
    own = url.rstrip("/")
    for body in ("[]", "{", "3"):
        assert ask(url, "/api/notes", "POST", body, Origin=own)[0] == 400
    assert ask(url, "/api/runs", "POST", "{}", Origin=own)[0] == 404
    assert ask(url, "/api/notes", "POST", None, Origin=own)[0] == 413
    assert ask(url, "/api/notes", "POST", None, Origin=own, Content_Length="9" * 9)[0] == 413


def test_a_broken_run_does_not_end_the_page(tmp_path):
    folder = finished(tmp_path)
    finished(tmp_path, "other")
    (folder / "run.json").write_text("[1")
    (folder / "config.yaml").write_text(": [")
    (folder / "metrics.jsonl").write_bytes(b"\xff\x00{\n{}\n")
    (folder / "energy.jsonl").write_text('{"attempt": 1, "entries": 3}\n')
    with served(RunIndex(tmp_path)) as url:
        for path in ("runs", "configs", "curves", "revisions"):
            assert ask(url, f"/api/{path}")[0] == 200
        rows = json.loads(ask(url, "/api/runs")[2])["runs"]
        assert [row["status"] for row in rows] == ["unreadable", "done"]


def test_a_token_is_wanted_once_and_then_a_cookie(tmp_path):
    finished(tmp_path)
    with served(RunIndex(tmp_path), token="s3cret") as url:
        assert ask(url, "/api/runs")[0] == 403 and ask(url, "/")[0] == 403
        assert ask(url, "/runs.js")[0] == ask(url, "/plotly.js")[0] == 403
        assert ask(url, "/?token=s3cre")[0] == ask(url, "/?token=s3cret2")[0] == 403
        status, headers, _ = ask(url, "/?token=s3cret")
        assert status == 303 and headers["Location"] == "/"
        assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert ask(url, "/api/runs", Cookie=cookie)[0] == 200
        assert ask(url, "/api/runs", Cookie=cookie + "x")[0] == 403
        assert ask(url, "/api/runs", Authorization="Bearer s3cret")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "login.example"])
def test_another_address_needs_a_token(tmp_path, host):
    with pytest.raises(ValueError, match="--token"):
        Server(RunIndex(tmp_path), host=host)
    RequestAuth(host, 1, "s3cret")


NAMES = ["localhost:9000", "Lab.example", "[::1]:8080"]


@pytest.mark.parametrize("host, status", [
    ("localhost:9000", 200), ("localhost:9001", 421), ("lab.example", 200), ("LAB.example:4", 200),
    ("x.lab.example", 421), ("lab.example.evil", 421), ("[::1]:8080", 200), ("lab.example:x", 421),
])  # fmt: skip
def test_names_of_forwarded_ports_and_proxies_are_a_setting(tmp_path, host, status):
    finished(tmp_path)
    with served(RunIndex(tmp_path), names=NAMES) as url:
        assert ask(url, "/api/runs", Host=host)[0] == status


def test_the_refusal_of_a_name_says_which_setting_allows_it(url):
    for host in ("localhost:9000", "lab.example"):
        assert f"--name {host}" in ask(url, "/api/runs", Host=host)[2]
    assert "<" not in ask(url, "/api/runs", Host="<script>")[2]


def test_notes_are_kept_through_a_proxy_that_changes_the_host(tmp_path):
    finished(tmp_path)
    with served(RunIndex(tmp_path), names=["lab.example"]) as url:
        (run,) = json.loads(ask(url, "/api/runs")[2])["runs"]
        assert notes(url, run["key"], Origin="https://lab.example")[0] == 200
        assert notes(url, run["key"], Origin="https://evil.example")[0] == 403
        assert notes(url, run["key"], Origin="ftp://lab.example")[0] == 403


def test_a_proxy_may_put_the_page_below_a_path(tmp_path):
    finished(tmp_path)
    with served(RunIndex(tmp_path), token="s3cret", base="/user/me/") as url:
        assert url.endswith("/user/me/?token=s3cret")
        status, headers, _ = ask(url, "/user/me/?token=s3cret")
        assert status == 303 and headers["Location"] == "/user/me/"
        assert headers["Set-Cookie"].endswith("Path=/user/me/")
        known = {"Authorization": "Bearer s3cret"}
        for before in ("/user/me", ""):  # kept, or cut off by the proxy
            assert ask(url, f"{before}/api/runs", **known)[0] == 200
            assert ask(url, f"{before}/style.css", **known)[0] == 200
        assert ask(url, "/user/me", **known)[1]["Location"] == "/user/me/"
        assert ask(url, "/user/mexico", **known)[0] == 404


@pytest.mark.parametrize(
    "knobs",
    [
        {"base": "/a b"},
        {"base": "/../x"},
        {"base": '/"'},
        {"names": ["a/b"]},
        {"names": ["http://x"]},
        {"names": [""]},
    ],
)
def test_a_bad_name_or_path_is_refused(tmp_path, knobs):
    with pytest.raises(ValueError, match="--name|--base-path"):
        Server(RunIndex(tmp_path), **knobs)


@pytest.mark.parametrize("token", ["a b+c%20d", 'x;"y",z=/?&#', "schlüssel", "%25"])
def test_a_token_may_hold_any_character(tmp_path, token):
    finished(tmp_path)
    with served(RunIndex(tmp_path), token=token) as url:
        status, headers, _ = ask(url, "/?" + urlsplit(url).query)
        assert status == 303
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert ask(url, "/api/runs", Cookie=cookie)[0] == 200


def test_head_is_get_without_the_body(url):
    for path in ("/", "/style.css", "/api/runs", "/nothing"):
        status, headers, text = ask(url, path)
        alike = ask(url, path, "HEAD")
        assert alike[0] == status and alike[2] == ""
        assert alike[1]["Content-Length"] == headers["Content-Length"] == str(len(text.encode()))
    assert ask(url, "/", "HEAD", Host="evil.example")[0] == 421
