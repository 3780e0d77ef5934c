"""The editor's book of runs: what it is told, and what it may change."""

import json

import pytest
from hypernet_pack.compat.standalone import folders, routes
from hypernet_pack.nodes.editor import ROUTES
from hypernet_pack.nodes.train.live import LiveRun, running
from tiny_models.runs import make_run


def ask(path, body=None):
    method = "GET" if body is None else "POST"
    found = ROUTES[method, f"/hypernet/{path}"]({}, body)
    assert json.dumps(found, allow_nan=False)
    return found


@pytest.fixture
def runs(tmp_path):
    editors = routes.Editors(tell=lambda event, data: None, prompts=list)
    with (
        folders.configured(models=tmp_path / "models", output=tmp_path / "output"),
        routes.speaking_to(editors),
    ):
        yield tmp_path / "output" / "hypernet"


def test_every_run_is_told_and_the_one_that_goes_on_is_training(runs):
    assert ask("book") == {"folder": str(runs), "runs": []}
    make_run(runs, "styles/ink")
    make_run(runs, "fox", ended="")
    running()["fox"] = LiveRun(name="fox", node="1", total=4, stage="training")
    found = {run["name"]: run["state"] for run in ask("book")["runs"]}
    assert found == {"styles/ink": "finished", "fox": "training"}


def test_settings_come_with_their_differences_and_the_checkpoints(runs):
    make_run(runs, "one", learning_rate="1e-3")
    make_run(runs, "two", learning_rate="1e-4", checkpoints=(4,))
    found = ask("book/settings", {"names": ["one", "two"]})
    assert [row["name"] for row in found["rows"] if row["differs"]] == ["learning_rate"]
    assert found["checkpoints"] == [["2", "4"], ["4"]]


def test_a_checkpoint_is_published_among_the_networks(runs, tmp_path):
    make_run(runs, "styles/ink")
    found = ask("book/publish", {"name": "styles/ink", "step": ""})
    file = tmp_path / "models" / "hypernetworks" / "styles" / "ink-4.pt"
    assert file.is_file() and found == {"name": "styles/ink-4.pt", "said": f"Published as {file}."}


def test_a_deleted_run_goes_to_the_trash_unless_it_is_trained(runs):
    make_run(runs, "fox")
    running()["fox"] = LiveRun(name="fox", node="1", total=4)
    with pytest.raises(ValueError, match='"fox" is being trained'):
        ask("book/delete", {"name": "fox"})
    running().clear()
    assert ask("book/delete", {"name": "fox"}) == {"folder": f"{runs}_trash/fox"}
    assert ask("book")["runs"] == []


@pytest.mark.parametrize("name", ["../input", "/etc", "a/../../b", "", None, 3, "fo", "C:\\x"])
def test_what_is_no_run_is_neither_read_nor_moved(runs, name):
    make_run(runs, "fox")
    make_run(runs.parent, "input")
    for path, body in {
        "settings": {"names": [name]},
        "publish": {"name": name, "step": ""},
        "delete": {"name": name},
    }.items():
        with pytest.raises(ValueError):
            ask(f"book/{path}", body)
    assert (runs / "fox").is_dir() and (runs.parent / "input" / "manifest.json").is_file()
    assert not runs.with_name("hypernet_trash").exists()


@pytest.mark.parametrize("names", [[], ["fox"] * 9])
def test_a_comparison_has_some_runs_but_not_all(runs, names):
    with pytest.raises(ValueError, match="choose 1 to 8"):
        ask("book/settings", {"names": names})
