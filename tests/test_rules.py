"""Rules over paths."""

import jax.numpy as jnp
import pytest

from fxformer.rules import RuleError, assign, decide, is_stacked, named, select

TREE = {
    "model": {
        "stack": {"blocks": {"q": {"kernel": jnp.ones((2, 3, 3)), "bias": jnp.ones((2, 3))}}}
    },
    "head": {"bias": jnp.ones(4)},
}


def test_paths_are_joined_by_slashes():
    assert list(named(TREE)) == [
        "head/bias",
        "model/stack/blocks/q/bias",
        "model/stack/blocks/q/kernel",
    ]
    assert [is_stacked(path) for path in named(TREE)] == [False, True, True]


def test_first_match_wins_and_the_rest_gets_the_default():
    values = assign([("head/", 1), ("bias$", 2)], TREE, 0)
    assert named(values) == {
        "head/bias": 1,
        "model/stack/blocks/q/bias": 2,
        "model/stack/blocks/q/kernel": 0,
    }


def test_a_default_may_look_at_the_leaf():
    assert named(assign([], TREE, lambda path, leaf: leaf.ndim))["head/bias"] == 1


def test_a_rule_without_a_match_names_the_nearest_path():
    with pytest.raises(RuleError, match=r"optimizer.decay.*'q/kernal\$'.*blocks/q/kernel"):
        decide([("q/kernal$", 0)], named(TREE), what="optimizer.decay")


def test_a_shadowed_rule_names_what_shadows_it():
    fallback = [("head/bias", 1), ("bias", 2)]  # of which this tree has no other
    assert decide(fallback, ["head/bias"]) == {"head/bias": 1}
    with pytest.raises(RuleError, match="'head/bias' decides nothing.*'bias'"):
        decide([("bias", 0), ("head/bias", 1)], named(TREE))


@pytest.mark.parametrize("rule", ["bias", ("bias",), (1, 2), ("(", 1)])
def test_a_malformed_rule_is_refused(rule):
    with pytest.raises(RuleError):
        decide([rule], named(TREE))


def test_select_is_a_tree_of_booleans():
    assert named(select(["kernel"], TREE)) == {path: "kernel" in path for path in named(TREE)}
