"""A run's folder from somebody else never makes us call what its config names.

Every command that opens a run and every route of the page is tried on runs whose stored config
names a function that would write a file.
"""

import json
import shutil

import pytest
import yaml
from omegaconf import OmegaConf

from fxformer.__main__ import main
from fxformer.config.build import build
from fxformer.config.stored import opened_config
from fxformer.config.target import ConfigError
from fxformer.dashboard import routes
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from tests.inspect.untrained_run import untrained_run

# where the part is put into the stored config
PLACES = (
    "model.ffn",
    "model.network.embed",
    "objective.masking",
    "data.packing",
    "tokenizer.specials",
    "model.network.transformer.block.ffn.act",
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A run of ours that nobody has touched."""
    return untrained_run(tmp_path_factory.mktemp("foreign"), "bert", steps=(10, 20))


@pytest.fixture
def foreign(sound, tmp_path):
    """place, part -> the folder of a copy of the run whose config holds `part` at `place`."""

    def copied(place: str, part: dict):
        folder = tmp_path / "runs" / sound.id
        shutil.copytree(sound.folder, folder)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        node = config
        *path, last = place.split(".")
        for key in path:
            node = node.setdefault(key, {})
        node[last] = part
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return folder

    return copied


def writes(file) -> list[dict]:
    """Parts that would write `file` if they were called: foreign code, and ours that is no part."""
    return [
        {"_target_": "builtins.open", "_args_": [str(file), "w"]},
        {"_target_": "fxformer.jsonl.replace", "_args_": [str(file), "written"]},
        {
            "_target_": "fxformer.nn.ffn.FFN",
            "_partial_": True,
            "hidden": {
                "_target_": "pathlib.Path.touch",
                "_args_": [{"_target_": "pathlib.Path", "_args_": [str(file)]}],
            },
        },
    ]


def argument(command: list[str], folder, tmp_path) -> list[str]:
    known = {"RUN": str(folder), "ROOT": str(folder.parent), "OUT": str(tmp_path / "out")}
    return [
        known.get(w, w.replace("=RUN", f"={folder}").replace("=ROOT", f"={folder.parent}"))
        for w in command
    ]


OPENING = [
    ["attention", "RUN", "--text", "the cat", "-o", "OUT"],
    ["compare", "RUN", "runs=ROOT"],
    ["export", "RUN", "OUT"],
    ["train", "resume=RUN", "trainer.steps=40"],
    ["train", "warm_start.from=RUN", "objective=mlm", "data=stdlib_docs", "runs=ROOT"],
    ["train", "warm_start.encoder=RUN", "warm_start.decoder=RUN", "objective=denoise", "runs=ROOT"],
    ["plan", "warm_start.from=RUN", "objective=mlm", "runs=ROOT"],
]
READING = [
    ["show", "RUN"],
    ["runs", "runs=ROOT"],
    ["energy", "runs=ROOT"],
    ["report", "runs=ROOT", "-o", "OUT"],
]


@pytest.mark.parametrize("command", OPENING, ids=lambda c: " ".join(c[:2]))
@pytest.mark.sample(3)
def test_no_command_that_opens_a_run_calls_what_it_names(command, foreign, tmp_path, capsys):
    marker = tmp_path / "code ran"
    place = "model.ffn"
    folder = foreign(place, writes(marker)[0])
    code = main(argument(command, folder, tmp_path))
    said = capsys.readouterr().err
    assert not marker.exists()
    assert code == 2 and "Traceback" not in said, said
    assert "builtins.open" in said and place in said


@pytest.mark.parametrize("command", READING, ids=lambda c: c[0])
def test_commands_that_only_read_do_not_mind(command, foreign, tmp_path):
    marker = tmp_path / "code ran"
    folder = foreign("model.ffn", writes(marker)[0])
    assert main(argument(command, folder, tmp_path)) == 0
    assert not marker.exists()


def _streamed(route):
    """A route that sends events, as a function that returns them."""

    def answer(index, params):
        asked = {"run": params["run"], "task": "fill-mask", "text": params["text"]}
        events = []
        route(index, asked, events.append)
        return events

    return answer


STREAMED = {name: _streamed(route) for name, route in routes.STREAM_ROUTES.items()}
ROUTES = [  # both of the first have "views"
    *routes.GET_ROUTES.items(),
    *routes.POST_ROUTES.items(),
    *STREAMED.items(),
]


@pytest.mark.parametrize("route,answer", ROUTES, ids=[route for route, _ in ROUTES])
@pytest.mark.sample(3)
def test_no_route_of_the_page_calls_what_a_run_names(route, answer, foreign, tmp_path):
    marker = tmp_path / "code ran"
    folder = foreign("model.ffn", writes(marker)[0])
    index = RunIndex(folder.parent)
    key = next(iter(index.runs()))
    params = {"run": key, "runs": key, "key": key, "text": "the cat", "search": "none"}
    try:
        found = answer(index, params)
    except (ValueError, KeyError) as error:
        found = str(error)
    assert not marker.exists()
    if route in ("attention", "samples", "tasks", "answer"):
        assert "builtins.open" in json.dumps(found)


@pytest.mark.parametrize("place", PLACES)
def test_wherever_the_part_stands_and_however_it_is_named(place, foreign, tmp_path):
    for number, part in enumerate(writes(tmp_path / "code ran")):
        folder = foreign(place, part)
        with pytest.raises(ConfigError, match="may not be opened"):
            opened_config(folder)
        with pytest.raises(ConfigError, match="_target_"):  # the judgement and the builder agree
            build(OmegaConf.create({"part": part}))
        shutil.rmtree(folder)
        assert not (tmp_path / "code ran").exists(), number


def test_a_tokenizer_is_of_a_class_of_tokenizers(sound, foreign, tmp_path):
    folder = foreign("name", "x")
    (card,) = [f for f in (folder / "tokenizer").iterdir() if "class" in json.loads(f.read_text())]
    for name in ("fxformer.data.disk_cache.Path", "fxformer.data.tokenizer.load", "os.system"):
        known = json.loads(card.read_text()) | {"class": name}
        card.write_text(json.dumps(known))
        assert main(["attention", str(folder), "--text", "a", "-o", str(tmp_path / "out")]) == 2


def test_programs_are_never_loaded_from_a_folder_that_a_run_names(foreign, tmp_path, monkeypatch):
    """Compiled programs are machine code: the cache is the user's own, whatever the run says."""
    from fxformer.config.resume import resumed

    folder = foreign("trainer.compile_cache", str(tmp_path / "theirs"))
    ours = OmegaConf.create({"trainer": {"compile_cache": "mine"}})
    assert resumed(ours, [], folder).trainer.compile_cache == "mine"
    used = []

    def stop(*args, **kwargs):
        raise UserError("far enough")

    monkeypatch.setattr("fxformer.inference.model_cache.load_run", stop)
    monkeypatch.setattr(
        "fxformer.inference.model_cache.use_compile_cache", lambda place: used.append(place)
    )
    assert main(["attention", str(folder), "--text", "the cat", "-o", str(tmp_path / "out")]) == 2
    assert used and "theirs" not in str(used)


def test_yaml_aliases_of_a_stored_config_are_not_expanded(sound, tmp_path):
    folder = tmp_path / sound.id
    shutil.copytree(sound.folder, folder)
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (folder / "config.yaml").write_text("\n".join(levels))
    with pytest.raises(ConfigError, match="aliases"):
        opened_config(folder)
