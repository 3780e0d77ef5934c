"""What the editor is told about settings before anything runs, asked as the editor asks."""

import pytest
from hypernet_pack.compat.standalone import folders
from hypernet_pack.nodes.editor import ROUTES
from hypernet_pack.nodes.train.hypernet_config import HypernetConfig
from hypernet_pack.nodes.train.learning_rate import LearningRate

from hypernet import HypernetSpec, Hypernetwork
from hypernet.formats.networks import save_network
from hypernet.network.hypernetwork import Record
from hypernet.training.auto import AutoSettings, settle

CONFIG = {
    "layer_structure": "1, 2, 4, 2, 1",
    "activation": "relu",
    "weight_initialization": "Normal",
    "layer_norm": True,
    "dropout_structure": "0, 0.3, 0, 0, 0",
    "activate_output": False,
    "widths": "768",
}
SCHEDULE = {
    "learning_rate": "1e-4:100, 1e-5",
    "steps": 1000,
    "batch_size": 1,
    "accumulation": 1,
    "optimizer": "AdamW",
    "preset": "auto",
}


def ask(path, body=None, method="POST", **query):
    return ROUTES[method, f"/hypernet/{path}"](query, body)


def test_a_network_is_drawn_as_it_will_be():
    found = ask("config", CONFIG)
    assert [column["factor"] for column in found["columns"]] == ["1", "2", "4", "2", "1"]
    assert [column["share"] for column in found["columns"]] == [0.25, 0.5, 1, 0.5, 0.25]
    # nothing leads to the first column, and no activation to the last
    assert [c["activation"] for c in found["columns"]] == ["", "relu", "relu", "relu", ""]
    assert [c["layer_norm"] for c in found["columns"]] == [False, True, True, True, True]
    assert [c["dropout"] for c in found["columns"]] == [0, 0.3, 0, 0, 0]


def test_size_and_warnings_are_those_of_the_node():
    given = CONFIG | {"activation": "linear"}
    _, summary = HypernetConfig.execute(**given, seed=0).result
    found = ask("config", given)
    assert f"{found['parameters']} parameters, {found['file']} a file" in summary
    assert found["warnings"] and all(warning in summary for warning in found["warnings"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer_structure": "2, 1"}, '"2, 1" must begin and end with 1'),
        ({"layer_structure": "1, x"}, '"x" is not a number'),
        ({"activation": "reul"}, '"reul" is not known'),
        ({"layer_norm": "yes"}, "layer_norm (bool)"),
        ({"widths": None}, "widths (str)"),
    ],
)
def test_what_is_wrong_with_a_network_is_said(changes, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        ask("config", CONFIG | changes)


def test_a_request_without_a_body_is_refused():
    with pytest.raises(ValueError, match=r"lacks layer_structure \(str\)"):
        ask("config")


def test_a_schedule_is_drawn_by_its_corners():
    found = ask("schedule", SCHEDULE)
    assert found["stepped"] and found["said"] == ""
    points = dict(found["points"])
    assert points[0] == 1e-4 and points[100] == 1e-5 and points[999] == 1e-5
    assert 100 <= len(points) <= 300
    assert not ask("schedule", SCHEDULE | {"learning_rate": "cosine 1e-4"})["stepped"]


def test_what_is_wrong_with_a_schedule_is_said_in_its_own_words():
    with pytest.raises(ValueError, match='"1e-4:x" should be a rate'):
        ask("schedule", SCHEDULE | {"learning_rate": "1e-4:x"})
    assert "is high for AdamW" in ask("schedule", SCHEDULE | {"learning_rate": "1"})["said"]


def test_the_suggestion_is_that_of_the_node():
    given = SCHEDULE | {"learning_rate": "", "steps": 0, "pictures": 60}
    rate, steps, advice, _ = LearningRate.execute(**given).result
    found = ask("learning_rate", given)
    assert (found["learning_rate"], found["steps"], found["said"]) == (rate, steps, advice)
    normed = ask("learning_rate", given | {"config": CONFIG})
    assert "× 10 because layer norm holds back" in normed["said"]


def test_an_open_schedule_is_that_of_the_demo_model_and_the_size_of_the_pictures():
    given = SCHEDULE | {"learning_rate": "auto", "steps": 0, "batch_size": 0}
    size = {"width": 128, "height": 128}
    spec = HypernetSpec(widths=(48, 96, 112, 128))
    expected = settle(AutoSettings(), spec, (16, 16))
    found = ask("schedule", given | {"size": size, "demo": True})
    assert found["learning_rate"] == expected.settings.learning_rate
    assert (found["steps"], found["said"]) == (800, "\n".join(expected.reasons))
    open_config = CONFIG | {"layer_structure": "auto", "activation": "linear", "widths": ""}
    open_config |= {"layer_norm": False, "dropout_structure": "", "demo": True}
    config = ask("schedule", given | {"size": size, "config": open_config})
    assert config["learning_rate"] == expected.settings.learning_rate
    assert ask("schedule", given)["steps"] == 2000


@pytest.mark.parametrize("size", [{"width": "x", "height": 8}, {"width": 8}])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match=r"\(int\)"):
        ask("schedule", SCHEDULE | {"size": size})


def test_many_short_cycles_are_drawn_at_once():
    long = {"learning_rate": "cosine_with_restarts 1e-4 period 1", "steps": 10_000_000}
    assert len(ask("schedule", SCHEDULE | long)["points"]) < 300


@pytest.fixture
def networks(tmp_path):
    """The folder of networks, with one in it."""
    folder = tmp_path / "models" / "hypernetworks"
    folder.mkdir(parents=True)
    spec = HypernetSpec(widths=(32,), layer_structure=(1, 2, 1), activation="relu")
    record = Record(name="fox", step=7, sd_checkpoint_name="tiny.safetensors")
    save_network(Hypernetwork(spec, record), folder / "fox.pt")
    with folders.configured(models=tmp_path / "models", output=tmp_path / "output"):
        yield folder


def test_a_chosen_file_says_what_it_is(networks):
    known = dict(ask("file", method="GET", name="fox.pt")["lines"])
    assert known["structure"] == "1, 2, 1" and known["activation"] == "relu"
    assert known["steps"] == "7" and known["trained on"] == "tiny.safetensors"
    assert ask("files", method="GET") == {"names": ["fox.pt"]}


def test_a_file_that_changed_is_read_again(networks):
    assert dict(ask("file", method="GET", name="fox.pt")["lines"])["name"] == "fox"
    other = Hypernetwork(HypernetSpec(widths=(64,)), Record(name="red fox"))
    save_network(other, networks / "fox.pt", overwrite=True)
    assert dict(ask("file", method="GET", name="fox.pt")["lines"])["name"] == "red fox"


@pytest.mark.parametrize("name", ["", "wolf.pt", "../secret.pt", "/etc/passwd"])
def test_files_outside_of_the_folder_are_not_found(networks, name):
    save_network(Hypernetwork(HypernetSpec(widths=(8,))), networks.parent / "secret.pt")
    with pytest.raises(FileNotFoundError, match="There is no hypernetwork"):
        ask("file", method="GET", name=name)
