"""Load Dataset: what makes it read a folder again."""

from hypernet_pack.nodes.loading import LoadDataset
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
