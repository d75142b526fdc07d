"""The house's order: imports point down only; the lock, the metadata and the wheel say the same."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# The story of the package, from what knows nothing to what knows all. A file may import from its
# own layer and from those before it.
STORY = (
    (
        "errors",
        "types",
        "ranges",
        "spelling",
        "batch",
        "rules",
        "jsonl",
        "files",
        "memory",
        "segmentation",
        "characters",
        "token_borders",
        "word_break",
    ),
    ("config",),
    ("arguments",),
    ("figures",),
    ("distributed",),
    ("metrics",),
    ("ops",),
    ("nn",),
    ("model",),
    ("objective",),
    ("head",),
    ("data",),
    ("task",),
    ("distillation",),
    ("energy",),
    ("flops",),
    ("track",),
    ("inference.decoding",),
    ("train",),
    ("hf",),
    ("warmstart",),
    ("inference",),
    ("plan",),
    ("evaluate",),
    ("search",),
    ("suite",),
    ("claims",),
    ("inspect",),
    ("dashboard",),
    ("cli",),
    ("__main__",),
)
LAYER = {name: depth for depth, names in enumerate(STORY) for name in names}
SOURCES = sorted((ROOT / "fxformer").rglob("*.py"))


def layer(path: Path) -> str:
    return layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts))


def layer_of(module: str) -> str:
    """The layer of a dotted module name: subpackage if STORY lists it, else package."""
    parts = module.split(".")[1:]
    return next((name for name in (".".join(parts[:2]), parts[0]) if name in LAYER), parts[0])


def imports(path: Path) -> set[str]:
    """The layers of fxformer that a file imports, at any depth of nesting."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {layer_of(name) for name in names if name.startswith("fxformer.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    own = layer(path)
    if own == "__init__":
        return
    assert own in LAYER, f"say in STORY where {own} stands"
    up = {name for name in imports(path) if LAYER[name] > LAYER[own]}
    assert not up, f"{path.relative_to(ROOT)} reaches up to {', '.join(sorted(up))}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_and_say_what_they_are(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)), "the first line says what the file is about"
    assert path.name != "utils.py"


def test_package_files_export_nothing():
    for path in SOURCES:
        if path.name == "__init__.py" and path.parent != ROOT / "fxformer":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert all(isinstance(node, ast.Expr) for node in body), f"{path} re-exports"


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=;! ]", requirement)[0].lower().replace("_", "-")


def test_the_lock_holds_every_dependency_with_hashes_and_no_address():
    locked = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n    --hash=sha256:", lock(), re.MULTILINE)
    assert len(locked) == len(re.findall(r"^[a-z0-9]", lock(), re.MULTILINE))
    wanted = project()["dependencies"] + project()["optional-dependencies"]["test"]
    missing = {name_of(requirement) for requirement in wanted} - set(locked)
    assert not missing, f"run `make lock`: {missing}"
    assert "://" not in lock() and "index-url" not in lock()
    assert not {"torch", "jax-cuda13-plugin", "nvidia-cublas"} & set(locked)


def test_the_lock_knows_each_python():
    assert "jax==0.10" in lock() and "jax==0.12" in lock()
    assert project()["requires-python"] == ">=3.11,<3.14"


def test_extras_are_there():
    extras = {"cuda13", "dashboard", "tpu", "tensorboard", "parquet", "hf", "bench", "test", "dev"}
    assert extras <= set(project()["optional-dependencies"])


def test_make_lists_its_targets():
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = ("train", "test", "test-slow", "test-tenth", "bench", "lint", "lock", "setup", "clean")
    for target in named:
        assert re.search(rf"^  make {target} +\S", listed.stdout, re.MULTILINE)


def test_only_ci_knows_where_the_real_data_lies():
    place = "shared" + "/data"
    files = [ROOT / "Makefile", *ROOT.glob("*.toml"), *ROOT.glob("*.md"), *SOURCES]
    files += [*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "tests").rglob("*.py")]
    assert [str(f) for f in files if place in f.read_text(encoding="utf-8")] == []


def test_models_of_tests_name_no_folder():
    """SentencePiece stores the prefix that it was told to write to."""
    models = sorted((ROOT / "tests").rglob("*.model"))
    assert models and [f.name for f in models if b"/tests/" in f.read_bytes()] == []


def test_the_wheel_carries_its_configs(tmp_path):
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "fxformer/_conf/train.yaml" in names and "fxformer/__main__.py" in names
    yamls = {str(p.relative_to(ROOT / "conf")) for p in (ROOT / "conf").rglob("*.yaml")}
    assert {f"fxformer/_conf/{name}" for name in yamls} <= set(names)
    page = {p.name for p in (ROOT / "fxformer/dashboard/page").iterdir()}
    assert len(page) > 10 and {f"fxformer/dashboard/page/{name}" for name in page} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "conf/", "experiments/"))]
