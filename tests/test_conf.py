"""Every yaml of conf/: it composes, names a target that may run, and spells each of its knobs."""

from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from fxformer.config import folders
from fxformer.config.check import DIRECTIVES, problems
from fxformer.config.options import composed
from fxformer.config.target import signature
from fxformer.config.type_check import type_problem

CONF = folders.conf_folder()
FILES = sorted(str(p.relative_to(CONF)) for p in CONF.rglob("*.yaml") if p.name != "train.yaml")
FILES = [name for name in FILES if not name.startswith("hydra/")]  # these are Hydra's
GROUPS = sorted({str(Path(name).parent) for name in FILES})
# Knobs that the parent gives although they have a default.
PARENTS = {"dim", "rngs", "rng", "key"}
# Groups whose choice a yaml of conf/data, conf/objective or conf/task may override, in their order.
OVERRIDDEN = (
    "model=bart",
    "size=tiny",
    "tokenizer=unigram",
    "data=stdlib_docs",
    "objective=denoise",
)


@cache
def tree(name: str) -> dict:
    """A yaml with its own defaults, references unresolved."""
    text = (CONF / name).read_text(encoding="utf-8")
    if "defaults" not in (yaml.safe_load(text) or {}):
        return OmegaConf.to_container(OmegaConf.create(text)) if text.strip() else {}
    if "override /" not in text:
        return OmegaConf.to_container(composed(name.removesuffix(".yaml"), ()), resolve=False)
    group, choice = str(Path(name).parent), Path(name).stem
    others = [f"+{other}" for other in OVERRIDDEN if not other.startswith(f"{group}=")]
    cfg = composed(None, [*others, f"+{group}={choice}"])
    return OmegaConf.to_container(cfg[group], resolve=False)


def nodes(value, path=""):
    """Every (path, node) with a `_target_`."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield path, value
        for key, child in value.items():
            yield from nodes(child, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for place, child in enumerate(value):
            yield from nodes(child, f"{path}[{place}]")


@pytest.mark.parametrize("name", FILES)
def test_a_yaml_spells_every_knob_and_no_other(name):
    for path, node in nodes(tree(name)):
        target = signature(node["_target_"])
        given = set(node) - set(DIRECTIVES)
        assert target.open or given <= set(target.knobs), f"{path}: {given - set(target.knobs)}"
        if "optax" in node["_target_"] or node["_target_"].endswith(".GenerationConfig"):
            continue  # defaults of optax are its own; those of a generation preset the model's
        have = {k for k, p in target.knobs.items() if p.default is not p.empty} - PARENTS
        assert have <= given, f"{path}: {target.name} has {sorted(have - given)} too"


@pytest.mark.parametrize("name", FILES)
def test_what_a_yaml_says_fits(name):
    for path, node in nodes(tree(name)):
        hints = signature(node["_target_"]).hints
        for key, value in node.items():
            if key in hints and "${" not in str(value) and value != "???":  # that must be given
                assert type_problem(value, hints[key]) is None, f"{path}.{key}"


def test_no_knob_of_ours_takes_nan_or_nonsense():
    loose = set()
    # whose keys are the user's: labels, roles, options of a cluster
    free = {
        "space",
        "arms",
        "sbatch",
        "columns",
        "metrics",
        "TaskCorpus.files",
        "TaskCorpus.valid_files",
    }
    free |= {"TaskCorpus.test_files", "CorpusMixture.parts", "parallel_files"}
    free |= {"valid_parallel_files", "test_parallel_files"}
    for name in FILES:
        for _, node in nodes(tree(name)):
            target = signature(node["_target_"])
            for knob in set(target.hints) & set(node) - free:
                if f"{target.name}.{knob}" in free:
                    continue
                for nonsense in (float("nan"), {"no": ["thing"]}):
                    if type_problem(nonsense, target.hints[knob]) is None:
                        loose.add(f"{target.name}.{knob} takes {nonsense}: annotate it")
    assert not loose


def test_the_groups_of_the_help_are_the_groups_there_are():
    shown = (CONF / "hydra" / "help" / "fxformer.yaml").read_text(encoding="utf-8")
    for group in folders.defaults():
        if "/" not in group:
            assert f"\n    {group} " in shown


def complete() -> bool:
    """Whether each default has its yaml (while parts of conf/ are still to come)."""
    picks = [(g, c) for g, c in folders.defaults().items() if c and "$" not in c and " " not in g]
    return all((CONF / group / f"{choice}.yaml").is_file() for group, choice in picks)


@pytest.mark.skipif(not complete(), reason="conf/ lacks the yaml of a default")
@pytest.mark.parametrize("family,right", [("bert", "mlm"), ("gpt2", "clm"), ("bart", "denoise")])
def test_an_objective_that_cannot_train_a_model_names_one_that_can(family, right):
    for other in {"mlm", "clm", "denoise"} - {right}:
        (wrong,) = problems(composed("train", [f"model={family}", f"objective={other}"]))
        assert wrong.startswith("objective: ") and f"objective={right}" in wrong
