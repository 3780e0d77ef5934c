"""Load Dataset finds a folder by the rule of names, and says how its name differs."""

import pytest
from hypernet_pack.nodes.data import load_dataset
from PIL import Image


@pytest.fixture
def places(monkeypatch, tmp_path):
    """A server that lets graphs read its input and output folders alone."""
    for name in ("input", "output", "disk", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "input" / "private").symlink_to(tmp_path / "disk", target_is_directory=True)
    monkeypatch.chdir(tmp_path)  # where the host writes what it remembers
    monkeypatch.setattr(load_dataset, "input_folder", lambda: tmp_path / "input")
    monkeypatch.setattr(load_dataset, "output_folder", lambda: tmp_path / "output")
    monkeypatch.setattr(
        load_dataset, "dataset_folders", lambda: [tmp_path / "input", tmp_path / "output"]
    )
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "there", "differs"),
    [
        ("my pictures ", "input/my pictures ", ""),
        ("my pictures", "input/my pictures ", "blanks"),
        ("my pictures ", "input/my pictures", "blanks"),
        (" my pictures", "input/ my pictures", ""),
        ("my\u00a0pictures", "input/my\u00a0pictures", ""),
        ("my pictures", "input/my\u00a0pictures", "blanks"),
        ("\u6c34 \u58a8", "input/\u6c34\u3000\u58a8", "blanks"),
        ("caf\u00e9", "input/cafe\u0301", "accents"),
        ("cafe\u0301", "input/caf\u00e9", "accents"),
        ("a\\b", "input/a/b", "slashes"),
        ("a\\b", "input/a\\b", ""),
        ("Foxes", "input/foxes", "capital"),
        ("\U0001f98a", "input/\U0001f98a", ""),
        ('"foxes"', "input/foxes", ""),
        ("nul", "input/nul", ""),
        ("Ready [output]", "output/ready", "capital"),
        ("ready  [output]", "output/ready ", ""),
        ("private/Foxes", "input/private/foxes", "capital"),
        ("{top}/input/Foxes", "input/foxes", "capital"),
        (" {top}/input/foxes", "input/foxes", "blanks"),
        ("foxes/", "input/foxes", ""),
    ],
)
def test_a_folder_is_found_by_the_least_difference_and_that_is_said(places, typed, there, differs):
    folder = places / there
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    path, note = load_dataset.look_up(typed.replace("{top}", str(places)))
    assert path == folder and (differs in note if differs else not note)
    assert load_dataset.resolve(typed.replace("{top}", str(places))) == folder


def test_the_report_says_which_folder_was_read(places):
    (places / "input/my\u00a0pictures").mkdir()
    Image.new("RGB", (64, 64)).save(places / "input/my\u00a0pictures/a.png")
    answer = load_dataset.LoadDataset.execute("my pictures", 64, 64)
    words = 'There is no "my pictures"; "my\u00a0pictures" is used, which differs in blanks'
    assert answer.args[1].startswith(words)
    assert answer.ui["text"][0].startswith(words)


@pytest.mark.parametrize(
    "typed",
    ["../outside", "..\\outside/../../outside", "{top}/outside", "{top}/Outside", "/", " /etc",
     "private/../../outside", "{top}/input/../outside", "../OUTSIDE [output]", "~/x"],
)  # fmt: skip
def test_what_leads_out_stays_refused_whether_it_is_there_or_not(places, typed):
    with pytest.raises(ValueError, match="outside of the folders"):
        load_dataset.resolve(typed.replace("{top}", str(places)))


@pytest.mark.parametrize(
    "typed", ["..\\outside", "C:\\outside", "\\\\host\\outside", "nobody", "a\0b", "x" * 300]
)
def test_what_is_nowhere_is_named_as_it_was_typed(places, typed):
    assert load_dataset.resolve(typed) == places / "input" / typed
    with pytest.raises((OSError, ValueError)):
        load_dataset.find_pictures(load_dataset.resolve(typed))


def test_two_folders_that_fit_equally_are_refused_by_name(places):
    for name in ("Foxes", "FOXES"):
        (places / "input" / name).mkdir()
    assert '"FOXES", "Foxes"' in load_dataset.LoadDataset.validate_inputs("foxes")


def test_case_08_a_folder_behind_a_link_is_read(places):
    assert load_dataset.resolve("private") == places / "input" / "private"
