"""Runs that are listed, and network files that come in from the canvas."""

import base64
import json

import pytest
from hypernet_pack.compat.standalone import folders
from hypernet_pack.nodes.editor import ROUTES

from hypernet import HypernetSpec, Hypernetwork
from hypernet.formats.networks import open_network, save_network
from hypernet.network.hypernetwork import Record

TOKEN = "0123456789abcdef"


def ask(path, body=None, method="POST"):
    return ROUTES[method, f"/hypernet/{path}"]({}, body)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "models" / "hypernetworks").mkdir(parents=True)
    with folders.configured(models=tmp_path / "models", output=tmp_path / "output"):
        yield tmp_path


def network_bytes(tmp_path, suffix=".pt", name="fox"):
    network = Hypernetwork(HypernetSpec(widths=(16,)), Record(name=name))
    return save_network(network, tmp_path / f"made{suffix}", overwrite=True).read_bytes()


def send(name, content, /, part=1000, **changes):
    offset = 0
    while True:
        piece = content[offset : offset + part]
        body = {
            "name": name, "token": TOKEN, "offset": offset,
            "data": base64.b64encode(piece).decode(), "last": offset + part >= len(content),
        }  # fmt: skip
        said = ask("upload", body | changes)
        offset += part
        if body["last"]:
            return said


def waiting(home):
    folder = home / "output" / "hypernet_cache" / "uploads"
    return list(folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_dropped_file_lies_in_the_folder_afterwards(home, suffix):
    content = network_bytes(home, suffix)
    assert send(f"dropped{suffix}", content) == {"name": f"dropped{suffix}"}
    file = home / "models" / "hypernetworks" / f"dropped{suffix}"
    assert file.read_bytes() == content and open_network(file).record.name == "fox"
    assert waiting(home) == []


def test_the_same_file_again_is_no_fault_and_another_one_never_replaces_it(home):
    first = network_bytes(home)
    send("dropped.pt", first)
    assert send("dropped.pt", first) == {"name": "dropped.pt"}
    with pytest.raises(FileExistsError, match="another hypernetwork"):
        send("dropped.pt", network_bytes(home, name="wolf"))
    assert (home / "models" / "hypernetworks" / "dropped.pt").read_bytes() == first
    assert waiting(home) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../dropped.pt"}, "cannot be part of a file name"),
        ({"name": "dropped.exe"}, "ends in"),
        ({"name": ".pt"}, "ends in"),
        ({"token": "../../x"}, "16 digits"),
        ({"data": "%%%"}, "base64"),
        ({"offset": 5}, "0 bytes are here"),
        ({"last": 1}, r"last \(bool\)"),
    ],
)
def test_what_is_no_upload_is_refused(home, changes, words):
    with pytest.raises(ValueError, match=words):
        send("dropped.pt", network_bytes(home), part=2**20, **changes)
    assert list((home / "models" / "hypernetworks").iterdir()) == [] and waiting(home) == []


def test_a_file_that_is_no_network_does_not_come_in(home):
    with pytest.raises(ValueError, match="cannot be read as a hypernetwork"):
        send("dropped.pt", b"no network at all" * 100)
    assert list((home / "models" / "hypernetworks").iterdir()) == [] and waiting(home) == []


def test_runs_behind_a_link_are_listed(home):
    elsewhere = home / "elsewhere" / "fox"
    elsewhere.mkdir(parents=True)
    told = {"settings": {"steps": 5, "learning_rate": "1e-5"}}
    (elsewhere / "manifest.json").write_text(json.dumps(told))
    (home / "output" / "hypernet").mkdir(parents=True)
    (home / "output" / "hypernet" / "fox").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "loop").symlink_to(elsewhere, target_is_directory=True)
    assert [run["name"] for run in ask("runs", method="GET")["runs"]] == ["fox"]


def test_runs_are_listed_the_newest_first_and_damaged_ones_left_out(home):
    runs = home / "output" / "hypernet"
    settings = {"steps": 2000, "learning_rate": "1e-5"}
    for name, told in {
        "fox": {"settings": settings, "seconds": 5.0, "pictures": 30, "model": "sd15"},
        "wolf": {"settings": settings},
        "styles/ink": {"settings": settings},
        "damaged": [],
    }.items():
        (runs / name).mkdir(parents=True)
        (runs / name / "manifest.json").write_text(json.dumps(told))
    found = {run["name"]: run for run in ask("runs", method="GET")["runs"]}
    assert set(found) == {"fox", "wolf", "styles/ink"}
    assert found["fox"]["finished"] and not found["wolf"]["finished"]
    assert found["fox"]["model"] == "sd15" and found["wolf"]["steps"] == 2000
