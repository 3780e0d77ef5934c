"""Settings of runs side by side: those that differ are marked, and no version is a difference."""

import json

from tiny_models.runs import make_run

from hypernet import HypernetSpec
from hypernet.runs.book.settings import compared


def differing(*folders):
    rows = [row for row in compared(folders) if row.differs]
    return {(row.part, row.name): row.texts for row in rows}


def test_only_what_differs_is_marked(tmp_path):
    one = make_run(tmp_path, "one", learning_rate="1e-3")
    same = make_run(tmp_path, "same", learning_rate="1e-3")
    spec = HypernetSpec(widths=(16,), layer_structure=(1, 3, 1))
    other = make_run(tmp_path, "other", learning_rate="1e-4", spec=spec)
    assert differing(one, same) == {} == differing(one)
    assert differing(one, same, other) == {
        ("training", "learning_rate"): ["1e-3", "1e-3", "1e-4"],
        ("network", "layer_structure"): ["1, 2, 1", "1, 2, 1", "1, 3, 1"],
    }


def test_what_an_older_version_did_not_write_has_its_default(tmp_path):
    one, old = make_run(tmp_path, "one"), make_run(tmp_path, "old")
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["settings"]["preserve"], manifest["spec"]["groups"], manifest["versions"]
    (old / "manifest.json").write_text(json.dumps(manifest))
    assert {part for part, _ in differing(one, old)} == {"versions"}


def test_whatever_somebody_has_edited_is_shown(tmp_path):
    one, edited = make_run(tmp_path, "one"), make_run(tmp_path, "edited")
    manifest = json.loads((edited / "manifest.json").read_text())
    manifest["settings"] |= {"steps": [["a"], 1, None], "learning_rate": {"a": ["<b>"]}}
    manifest["spec"] = manifest["request"] = "nothing"
    (edited / "manifest.json").write_text(json.dumps(manifest))
    found = differing(one, edited)
    assert found["training", "learning_rate"][1] == "a <b>"
    assert found["training", "steps"][0] == "4"
