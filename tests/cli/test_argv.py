"""Which words of a command are of what."""

from fxformer.cli.argv import again, flags, is_of
from fxformer.cli.sweeper import worst


def test_a_word_is_of_its_group():
    for word in ("search=random", "search.trials=3", "search/pruner=none", "+search@x=y"):
        assert is_of(word, "search")
    assert not is_of("searching=1", "search") and not is_of("x.search=1", "search")
    assert is_of("runs=elsewhere", "search", "runs")


def test_a_worker_elsewhere_has_one_launcher_and_the_name_of_the_study():
    words = ("-m", "seed=1,2", "search.workers=8", "search/launcher=submitit",
             "search.launcher.gpus=1", "search.trials=9")  # fmt: skip
    assert again(words, "s") == [
        "-m", "seed=1,2", "search.trials=9", "search/launcher=process", "search.workers=1",
        "search.wait=false", "search.name=s",
    ]  # fmt: skip


def test_flags_go_on_to_the_trials(tmp_path):
    assert flags(["-m", "--config-dir", str(tmp_path), "seed=1"]) == ["--config-dir", str(tmp_path)]
    assert flags(["-m", "seed=1"]) == []


def test_of_several_ends_the_most_telling_counts():
    assert worst([0, 75, 3, 0]) == 3 and worst([0, 1, 2]) == 1 and worst([]) == 0
