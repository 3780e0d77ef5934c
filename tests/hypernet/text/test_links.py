"""Folders with links: links are followed, loops end, and a path as written tells what is inside."""

import pytest

from hypernet.text.links import files_below, is_inside, walk


@pytest.fixture
def models(tmp_path):
    """A folder with every kind of link in it."""
    top, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    for folder in (top / "real", elsewhere / "deep"):
        folder.mkdir(parents=True)
    for file in (top / "a.pt", top / "real" / "b.PT", elsewhere / "deep" / "c.pt", top / "d.txt"):
        file.touch()
    (top / "linked").symlink_to(elsewhere, target_is_directory=True)
    (top / "twice").symlink_to(top / "real", target_is_directory=True)
    (top / "real" / "parent").symlink_to(top, target_is_directory=True)
    (elsewhere / "deep" / "back").symlink_to(elsewhere, target_is_directory=True)
    (top / "self").symlink_to(top / "self")
    (top / "file.pt").symlink_to(elsewhere / "deep" / "c.pt")
    (top / "broken.pt").symlink_to(top / "gone.pt")
    (top / "gone").symlink_to(tmp_path / "nowhere", target_is_directory=True)
    (top / "folder.pt").mkdir()
    return top


def test_folders_behind_two_links_are_listed_under_both_names_without_endless_loops(models):
    assert files_below(models, [".pt"]) == [
        "a.pt", "file.pt", "linked/deep/c.pt", "real/b.PT", "twice/b.PT",
    ]  # fmt: skip
    assert {visit.name for visit in walk(models) if visit.again} == {
        "linked/deep/back", "real/parent", "twice/parent",
    }  # fmt: skip


def test_with_once_each_folder_is_entered_only_once(models):
    names = [visit.name for visit in walk(models, once=True) if not visit.again]
    assert names == ["", "folder.pt", "linked", "linked/deep", "real"]


def test_two_folders_that_link_to_each_other_do_not_loop_forever(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.pt").touch()
        (tmp_path / name / other).symlink_to(tmp_path / other, target_is_directory=True)
    assert files_below(tmp_path) == ["a/a.pt", "a/b/b.pt", "b/a/a.pt", "b/b.pt"]


def test_folders_removed_from_a_visit_are_not_entered(models):
    seen = []
    for visit in walk(models):
        seen.append(visit.name)
        visit.folders[:] = [name for name in visit.folders if name == "real"]
    assert seen == ["", "real"]


def test_a_folder_that_is_not_there_has_no_files(tmp_path):
    assert files_below(tmp_path / "none") == []
    assert [bool(visit.fault) for visit in walk(tmp_path / "none")] == [True]


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("a.png", True),
        ("linked/a.png", True),
        ("linked/../a.png", True),
        ("", True),
        ("..", False),
        ("../input2/a.png", False),
        ("linked/../../a.png", False),
        ("/etc/passwd", False),
        ("//host/share/a.png", False),
        ("{home}/a.png", True),
        ("{home}2/a.png", False),
        ("...", True),
    ],
)
def test_a_path_is_inside_a_folder_as_written_wherever_links_lead(tmp_path, name, inside):
    home, disk = tmp_path / "input", tmp_path / "disk"
    home.mkdir()
    disk.mkdir()
    (home / "linked").symlink_to(disk, target_is_directory=True)
    assert is_inside(home / name.replace("{home}", str(home)), home) == inside
