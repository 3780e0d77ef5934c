"""Load Dataset: what makes it read a folder again."""

import pytest
from hypernet_pack.compat.standalone import folders
from hypernet_pack.nodes.data import load_dataset
from hypernet_pack.nodes.data.load_dataset import LoadDataset
from PIL import Image


def test_a_change_is_noticed_also_behind_a_link(tmp_path):
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        place.mkdir()
        Image.new("RGB", (8, 8)).save(place / "a.png")
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    before = LoadDataset.fingerprint_inputs(str(folder))
    assert LoadDataset.fingerprint_inputs(str(folder)) == before
    (elsewhere / "a.txt").write_text("a fox")
    assert LoadDataset.fingerprint_inputs(str(folder)) != before


def test_the_demos_pictures_are_found_where_a_server_lets_graphs_read_little(tmp_path, monkeypatch):
    monkeypatch.setattr(load_dataset, "dataset_folders", lambda: [tmp_path])
    found = load_dataset.resolve("pictures [demo]")
    assert len(list(found.glob("*.png"))) == 64
    with pytest.raises(ValueError, match="outside of the folders"):
        load_dataset.resolve("../nodes [demo]")


def test_what_is_excluded_is_left_out_and_makes_no_folder_faulty(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    asked = {"folder": str(folder), "exclude": "b.png\nbroken.png"}
    assert LoadDataset.validate_inputs(**asked) is True
    with folders.configured(output=tmp_path / "output"):
        dataset, text = LoadDataset.execute(**asked, width=64, height=64).result[:2]
    assert [item.path.name for item in dataset.items] == ["a.png"]
    assert '2 pictures are left out by exclude: "b.png", "broken.png".' in text
    assert "holds no pictures" in LoadDataset.validate_inputs(folder=str(folder), exclude="*")
