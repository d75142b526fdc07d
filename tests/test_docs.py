"""The documentation names files that exist and keys that may be set."""

import re
from pathlib import Path

import pytest

from fxformer.config import reference

ROOT = Path(__file__).resolve().parent.parent
GENERATED = {"objectives.md", "first_steps.md", "configs.md"}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.name not in GENERATED]
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:[\w-]+/)+(?:[\w*-]+(?:\.(?:py|md|yaml|txt|jsonl?|csv))?)/?")
ROOTS = ("fxformer", "conf", "tests", "docs", "benchmarks", "experiments")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    missing = []
    for code in CODE.findall(text):
        for path in PATH.findall(code):
            known = path.partition("/")[0] in ROOTS or path.endswith(".py")
            example = "NAME" in path or "GROUP" in path or path.startswith("my_lab")
            places = [ROOT, ROOT / "fxformer", ROOT / "conf"]
            if known and not example and not any(list(p.glob(path.rstrip("/"))) for p in places):
                missing.append(path)
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_reference_of_configs_is_fresh():
    written = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    assert written == reference.document(), "run `make configs` and commit docs/configs.md"
