"""Workflows of real users, run by the command: each folder of workflows/ is one public report."""

import re
from pathlib import Path

import pytest
from hypernet_pack.cli.main import main
from PIL import Image

from hypernet import HypernetSpec, Hypernetwork, Record, save_network

CASES = Path(__file__).parent / "workflows"
NOTEPAD = "10-workflow-saved-by-notepad"
OLD = "11-workflow-of-2023"
EMPTY_LINK = "13-workflow-with-an-empty-link"
QUEUED = "14-what-the-editor-does-when-it-queues"
BROWSER = "25-nodes-that-live-in-the-browser-only"


@pytest.fixture
def run(tmp_path, capsys):
    """run(case, file): exit code, the pictures that were saved, what stands in stderr."""
    models = tmp_path / "models" / "hypernetworks"
    models.mkdir(parents=True)
    network = Hypernetwork(HypernetSpec(widths=(96,), activation="relu"), Record(name="one"))
    save_network(network, models / "one.pt")

    def run(case, file, *more):
        places = ["--out", str(tmp_path / "out"), "--models", str(models.parent)]
        code = main(["run", str(CASES / case / file), *places, *more])
        told = [each for each in capsys.readouterr().err.splitlines() if "KSampler:" not in each]
        return code, sorted((tmp_path / "out").rglob("*.png")), [each for each in told if each]

    return run


@pytest.mark.parametrize("file", ["utf8_bom.json", "utf16.json"])
def test_10_a_workflow_saved_by_notepad_is_read(run, file):
    code, pictures, told = run(NOTEPAD, file)
    assert (code, len(pictures), told) == (0, 1, [])


@pytest.mark.parametrize("file", ["control_true.json", "sample_prefix.json"])
def test_11_a_workflow_of_2023_is_read_as_the_editor_migrates_it(run, file):
    code, pictures, told = run(OLD, file)
    assert (code, len(pictures), told) == (0, 1, [])


@pytest.mark.parametrize(
    ("file", "entry"), [("null_link.json", "null"), ("short_link.json", "[99]")]
)
def test_13_an_empty_link_is_left_out_and_named(run, file, entry):
    code, pictures, told = run(EMPTY_LINK, file)
    assert (code, len(pictures)) == (0, 1)
    assert told == [f"Entries of the table of links that are broken were left out (1): {entry}."]


def test_14_prompt_and_file_name_are_as_the_editor_queues_them(run):
    code, pictures, told = run(QUEUED, "editor.json")
    assert code == 0
    assert [each.name for each in pictures] == ["pic_1_00001_.png"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", pictures[0].parent.name)
    with Image.open(pictures[0]) as picture:
        prompt = picture.info["prompt"]
    assert ('"red heart "' in prompt) != ('"blue heart "' in prompt)
    assert "Alternatives were chosen by seed 1 (1): node 4" in "\n".join(told)
    assert 'Comments were taken out of prompts, as in the editor (1): node 4 "// a note".' in told


UNNEEDED = (
    "Nodes that are not installed here were left out, since nothing that runs needs them (1): "
    '"Some Absent Node" (node 20).'
)
FOLLOWED = ["bookmark.json", "rgthree_reroute.json", "setget.json", "unneeded.json"]


@pytest.mark.parametrize("file", FOLLOWED)
def test_25_nodes_that_live_in_the_browser_only_are_followed_or_left_out(run, file):
    code, pictures, told = run(BROWSER, file)
    assert (code, len(pictures)) == (0, 1), told
    assert told == ([UNNEEDED] if file == "unneeded.json" else [])


def test_25_a_group_node_of_an_older_editor_is_refused_in_words(run):
    code, pictures, told = run(BROWSER, "group.json")
    assert (code, pictures) == (2, [])
    assert len(told) == 1
    assert 'node 20 is the group node "mygroup"' in told[0]
    assert "save with Export (API)" in told[0]
