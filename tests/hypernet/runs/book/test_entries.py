"""The list of runs: all that are there, how they ended, and what they came to."""

import json
import os

import pytest
from tiny_models.runs import make_run

from hypernet.runs.book.entries import END_OF_LOG, find_entry, list_entries, read_entry
from hypernet.runs.history import read_history


@pytest.mark.parametrize("ended", ["finished", "interrupted", "failed", ""])
def test_a_run_says_how_it_ended_and_what_it_came_to(tmp_path, ended):
    make_run(tmp_path / "runs", "styles/ink", ended=ended, loss=0.25, steps=9)
    (entry,) = list_entries(tmp_path / "runs", [])
    assert (entry.name, entry.state) == ("styles/ink", ended or "unfinished")
    assert (entry.step, entry.steps, entry.preview) == (4, 9, 4)
    assert (entry.loss, entry.smoothed, entry.probe) == (0.25, 0.25, 0.125)
    assert entry.seconds == (61.0 if ended == "finished" else None)
    assert entry.why == ("no memory" if ended == "failed" else "")


def test_the_newest_run_comes_first_and_no_folder_has_none(tmp_path):
    for age, name in enumerate(["new", "old", "older"]):
        for file in make_run(tmp_path, name).iterdir():
            os.utime(file, (1e9 - age, 1e9 - age))
    assert [entry.name for entry in list_entries(tmp_path, [])] == ["new", "old", "older"]
    assert [entry.name for entry in list_entries(tmp_path, [], most=2)] == ["new", "old"]
    assert list_entries(tmp_path / "nowhere", []) == []


def test_a_run_names_its_network_while_that_is_there(tmp_path):
    folder, networks = make_run(tmp_path / "runs", "styles/ink"), tmp_path / "networks"
    network = networks / "styles" / "ink.pt"
    assert read_entry(folder, [networks], "styles/ink").network == ""
    network.parent.mkdir(parents=True)
    network.touch()
    assert read_entry(folder, [networks], "styles/ink").network == "styles/ink.pt"
    stopped = make_run(tmp_path / "runs", "ink", ended="interrupted")
    (networks / "ink.pt").touch()  # somebody else's
    assert read_entry(stopped, [networks]).network == ""


def test_the_end_of_a_long_log_is_enough(tmp_path):
    folder = make_run(tmp_path, "long")
    lines = [f"{n},0,{n},{1 + n % 7:.7f},0.001\n" for n in range(1, 3001)]
    (folder / "loss.csv").write_text("step,epoch,epoch_step,loss,learn_rate\n" + "".join(lines))
    assert (folder / "loss.csv").stat().st_size > 3 * END_OF_LOG
    entry = read_entry(folder, [])
    assert (entry.step, entry.loss) == (3000, 1 + 3000 % 7)
    assert entry.smoothed == pytest.approx(read_history(folder).smoothed.last, rel=1e-4)


@pytest.mark.parametrize(
    "manifest",
    ["", "{", "[1]", '{"settings": 3}', '{"settings": {"steps": "x"}, "pictures": [], "model": 1}'],
)
def test_what_somebody_has_edited_is_still_a_run(tmp_path, manifest):
    folder = make_run(tmp_path, "edited")
    (folder / "manifest.json").write_text(manifest)
    with open(folder / "seen.jsonl", "a") as file:
        file.write(
            '{"step": 4, "probe": "much"}\n{"step": 4, "self": 1}\n{"step": 4, "began": []}\n'
        )
    (entry,) = list_entries(tmp_path, [])
    assert (entry.name, entry.step, entry.steps) == ("edited", 4, None)
    assert json.dumps(entry.as_data(), allow_nan=False)


def test_a_name_that_is_no_runs_is_quoted_beside_the_nearest(tmp_path):
    make_run(tmp_path, "styles/ink")
    assert find_entry("styles\\ink", tmp_path) == tmp_path / "styles" / "ink"
    with pytest.raises(ValueError, match=r'no run "styles/inc" in .*Nearest: styles/ink\.'):
        find_entry("styles/inc", tmp_path)
    with pytest.raises(ValueError, match=r'no run "ink" in .*, nor any other'):
        find_entry("ink", tmp_path / "styles" / "ink" / "previews")
    with pytest.raises(ValueError, match="every part of it"):
        find_entry("../ink", tmp_path)
