"""Publishing and deleting: nothing is overwritten, and nothing is really removed."""

import pytest
from filelock import FileLock
from tiny_models.runs import make_run

from hypernet.formats.networks import open_network
from hypernet.runs.book.checkpoints import checkpoints_in, publish
from hypernet.runs.book.entries import list_entries
from hypernet.runs.book.trash import move_to_trash
from hypernet.runs.lock_files import lock_file


@pytest.fixture
def places(tmp_path):
    make_run(tmp_path / "runs", "styles/ink", done=12, checkpoints=(2, 4, 12))
    return tmp_path / "runs", tmp_path / "networks"


def test_the_newest_checkpoint_is_published_as_a_copy_under_its_step(places):
    runs, networks = places
    found = publish("styles/ink", runs, networks)
    assert found.file == networks / "styles" / "ink-12.pt" and found.is_new
    assert open_network(found.file).record.step == 12
    assert (runs / "styles" / "ink" / "ink-12.pt").is_file()
    again = publish("styles\\ink", runs, networks, "12")
    assert (again.file, again.is_new) == (found.file, False)


def test_what_is_there_under_that_name_is_kept(places):
    runs, networks = places
    taken = [networks / "styles" / name for name in ("ink-4.pt", "ink-4_2.pt")]
    taken[0].parent.mkdir(parents=True)
    for file in taken:
        file.write_text("mine")
    assert publish("styles/ink", runs, networks, "4").file.name == "ink-4_3.pt"
    assert [file.read_text() for file in taken] == ["mine", "mine"]


@pytest.mark.parametrize(
    "name, step, words",
    [
        ("styles/ink", "5", 'no checkpoint "5". Nearest: 4. It has 2, 4, 12'),
        ("styles/ink", "last", 'no checkpoint "last". Nearest: 12'),
        ("styles/ink", "../../x", 'no checkpoint "../../x"'),
        ("styles/inky", "", 'no run "styles/inky" in .*Nearest: styles/ink'),
        ("bare", "", '"bare" has no checkpoints. .*save_every'),
        ("torn", "4", "torn-4.pt"),
    ],
)
def test_what_cannot_be_published_is_refused_in_words(places, name, step, words):
    runs, networks = places
    make_run(runs, "bare", checkpoints=())
    (make_run(runs, "torn") / "torn-4.pt").write_bytes(b"half")
    with pytest.raises(ValueError, match=words):
        publish(name, runs, networks, step)
    assert not networks.exists()


def test_checkpoints_are_in_the_order_of_their_steps_and_the_best_is_last(places):
    folder = places[0] / "styles" / "ink"
    (folder / "ink-best.pt").write_bytes((folder / "ink-4.pt").read_bytes())
    (folder / "inky-7.pt").touch()
    assert list(checkpoints_in(folder)) == ["2", "4", "12", "best"]
    assert publish("styles/ink", *places).file.name == "ink-12.pt"


def test_a_deleted_run_lies_whole_in_the_trash_and_can_be_moved_back(places):
    runs, _ = places
    before = {path.name for path in (runs / "styles" / "ink").iterdir()}
    place = move_to_trash("styles/ink", runs)
    assert place == runs.with_name("runs_trash") / "styles" / "ink"
    assert {path.name for path in place.iterdir()} == before
    assert list_entries(runs, []) == []
    make_run(runs, "styles/ink")
    assert move_to_trash("styles/ink", runs).name == "ink_2"
    place.rename(runs / "styles" / "ink")
    assert [entry.step for entry in list_entries(runs, [])] == [12]


def test_a_run_that_is_trained_is_not_deleted(places):
    runs, _ = places
    with (
        FileLock(lock_file(runs, "styles/ink")),
        pytest.raises(ValueError, match='"styles/ink" is being trained'),
    ):
        move_to_trash("styles\\ink", runs)
    assert move_to_trash("styles/ink", runs).is_dir()


def test_runs_in_a_runs_folder_do_not_go_with_it(places):
    runs, _ = places
    make_run(runs, "styles")
    with pytest.raises(ValueError, match="lie other runs: styles/ink"):
        move_to_trash("styles", runs)
    assert {entry.name for entry in list_entries(runs, [])} == {"styles", "styles/ink"}
