"""A trial's own side."""

from types import SimpleNamespace

import pytest

from fxformer.search.prune import MedianPruner, SuccessiveHalving
from fxformer.search.trial_callback import require_attributable


@pytest.mark.parametrize(("objectives", "pruner", "judged"), [
    (("loss", "kwh"), None, "kwh"), (("loss", "gco2e", "joules"), None, "gco2e, joules"),
    (("loss",), SuccessiveHalving(resource="joules"), "search.pruner.resource=joules"),
    (("loss", "seconds"), None, None), (("loss",), SuccessiveHalving(), None),
    (("loss",), MedianPruner(), None),
])  # fmt: skip
def test_a_search_is_not_judged_by_joules_that_are_an_equal_split(objectives, pruner, judged):
    watch = SimpleNamespace(study=SimpleNamespace(objectives=objectives), pruner=pruner)
    require_attributable(watch, {}, 0.0)
    require_attributable(watch, {"gpu:GPU-a": 0.05}, 10.0)
    if judged is None:
        return require_attributable(watch, {"gpu:GPU-a": 5.0}, 10.0)
    with pytest.raises(ValueError, match=f"^{judged}: .*gpu:GPU-a.*search.workers=1"):
        require_attributable(watch, {"gpu:GPU-a": 5.0}, 10.0)
