"""Cases from users' disks: models and pictures behind links, names typed differently."""

import logging

import pytest
import torch
from hypernet_pack.cli import file_commands
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.nodes.core import CORE_NODES
from hypernet_pack.compat.standalone.serve import model_lists
from hypernet_pack.nodes.use.load_save import LoadHypernet, find, known_names
from PIL import Image

from hypernet import HypernetSpec, Hypernetwork, Record, save_network

NODES = {node.GET_SCHEMA().node_id: node for node in CORE_NODES}
PATHS = ("input", "output", "models")


@pytest.fixture
def desk(tmp_path):
    """A host's folders; the function touches files below them."""
    for name in PATHS:
        (tmp_path / name).mkdir()

    def put(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    with folders.configured(**{name: tmp_path / name for name in PATHS}):
        yield put


def link(place, target):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target, target_is_directory=True)


def test_case_07_networks_in_a_linked_folder_are_listed_and_found(desk):
    top = desk("elsewhere/ink.pt", "elsewhere/tree.hns", "models/hypernetworks/plain.pt")
    link(top / "models/hypernetworks/styles", top / "elsewhere")
    assert known_names() == ["plain.pt", "styles/ink.pt", "styles/tree.hns"]
    assert folders.network_names() == ["plain.pt", "styles/ink.pt"]
    assert find("styles/ink.pt") == top / "models/hypernetworks/styles/ink.pt"


@pytest.mark.parametrize("kind", ["checkpoints", "loras", "vae", "embeddings"])
def test_case_07_other_models_in_linked_folders_are_listed_and_found(desk, kind):
    top = desk("elsewhere/deep/ink.safetensors")
    link(top / "models" / kind / "styles", top / "elsewhere")
    link(top / "elsewhere/deep/loop", top / "elsewhere")
    name = "styles/deep/ink.safetensors"
    assert model_lists._model_files(kind) == [name]
    found = {
        "checkpoints": folders.checkpoint_names,
        "embeddings": lambda: [f"styles/deep/{n}.safetensors" for n in folders.embedding_names()],
    }.get(kind, lambda: folders.weight_file_names(kind))
    assert found() == [name]


def test_case_08_pictures_go_through_a_link_both_ways(desk):
    top = desk()
    (top / "disk").mkdir()
    link(top / "output/private", top / "disk")
    link(top / "input/private", top / "disk")
    Image.new("RGB", (8, 8), "red").save(top / "disk" / "a.jpg")
    assert NODES["LoadImage"].validate_inputs("private/a.jpg") is True
    assert NODES["LoadImage"].execute("private/a.jpg").args[0].shape == (1, 8, 8, 3)
    saved = NODES["SaveImage"].execute(torch.zeros(1, 8, 8, 3), "private/pic").ui.as_dict()
    assert saved["images"] == [
        {"filename": "pic_00001_.png", "subfolder": "private", "type": "output"}
    ]
    assert (top / "disk" / "pic_00001_.png").is_file()


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "private/../../a.jpg", "/etc/passwd", "..", "a\0.jpg", "{top}/a.jpg",
     "../a.jpg [output]", "private/../../../a.jpg [temp]", "{top}/input2/a.jpg", "./../a.jpg"],
)  # fmt: skip
def test_names_that_lead_out_of_the_folder_are_refused(desk, name):
    top = desk("a.jpg", "input2/a.jpg")
    link(top / "input/private", top)
    name = name.format(top=top)
    with pytest.raises(ValueError, match="leads out of"):
        folders.resolve(name)
    with pytest.raises(ValueError, match="leads out of"):
        folders.next_file(name.partition(" [")[0], folders.input_folder(), ".png")


@pytest.mark.parametrize(
    ("kind", "wanted", "file", "differs"),
    [
        ("loras", "Ink.safetensors", "ink.safetensors", "capital"),
        ("loras", "styles\\ink.safetensors", "styles/ink.safetensors", "slashes"),
        ("loras", "caf\u00e9.safetensors", "cafe\u0301.safetensors", "accents"),
        ("vae", "my vae.safetensors", "my\u00a0vae.safetensors", "blanks"),
        ("checkpoints", "SD15\\Model.safetensors", "sd15/model.safetensors", "capital"),
        ("checkpoints", "\u6c34 \u58a8.safetensors", "\u6c34\u3000\u58a8.safetensors", "blanks"),
        ("checkpoints", "ink.safetensors", "ink.safetensors", ""),
        ("vae", "\U0001f98a.safetensors", "\U0001f98a.safetensors", ""),
        ("loras", "aux.safetensors", "aux.safetensors", ""),
        ("loras", "ink .safetensors", "ink .safetensors", ""),
    ],
)
def test_models_are_found_by_one_rule_and_the_difference_is_reported(
    desk, kind, wanted, file, differs
):
    top, said = desk(f"models/{kind}/{file}"), []
    if kind == "checkpoints":
        found = folders.find_checkpoint(wanted, said.append)
    else:
        found = folders.find_weight_file(kind, "file", wanted, said.append)
    assert found == top / "models" / kind / file
    assert (differs in said[0]) if differs else not said


def test_two_models_that_fit_equally_are_refused_before_the_run(desk):
    desk("models/loras/Ink.safetensors", "models/loras/INK.safetensors")
    fault = NODES["LoraLoaderModelOnly"].validate_inputs("ink.safetensors")
    assert '"INK.safetensors", "Ink.safetensors"' in fault


@pytest.mark.parametrize(
    ("wanted", "file", "differs"),
    [
        ("ink", "deep/ink.pt", ""),
        ("INK", "deep/ink.pt", "capital"),
        ("deep\\ink", "deep/ink.pt", "slashes"),
        ("caf\u00e9", "cafe\u0301.pt", "accents"),
        ("nobody", None, ""),
        ("../ink", None, ""),
        ("\\", None, ""),
    ],
)
def test_embeddings_are_found_by_the_same_rule(desk, wanted, file, differs):
    top = desk("models/embeddings/deep/ink.pt", "models/embeddings/cafe\u0301.pt")
    found = folders.find_embedding(wanted)
    assert (found and found[0]) == (file and top / "models/embeddings" / file)
    assert differs in (found[1] if found else "")


def test_two_embeddings_that_fit_equally_are_refused(desk):
    desk("models/embeddings/Ink.pt", "models/embeddings/INK.pt")
    with pytest.raises(ValueError, match='"INK.pt", "Ink.pt"'):
        folders.find_embedding("ink")


def test_a_picture_with_a_name_from_windows_is_found_and_reported(desk, caplog):
    top = desk("input/photos/x")
    Image.new("RGB", (8, 8)).save(top / "input/photos/cafe\u0301.png")
    with caplog.at_level(logging.WARNING):
        NODES["LoadImage"].execute("Photos\\caf\u00e9.png")
    assert '"photos/cafe\u0301.png" is used' in caplog.text
    assert NODES["LoadImage"].validate_inputs("..\\photos\\x") is not True


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("nul", 'keeps "nul"'),
        ("CON.v1", 'keeps "CON"'),
        ("aux/pic", 'keeps "aux"'),
        ("COM1", 'keeps "COM1"'),
        ("lpt9 .x/pic", 'keeps "lpt9"'),
        ("a:b", "':' cannot be part"),
        ("a?/pic", "'?' cannot be part"),
        ("new /pic", "drops dots and blanks"),
        ("new./pic", "drops dots and blanks"),
        ("a\nb", "cannot be part"),
        ('a"b', "cannot be part"),
        ("C:\\pic", "':' cannot be part"),
    ],
)
def test_a_prefix_that_windows_cannot_save_is_refused(desk, prefix, words):
    top = desk()
    with pytest.raises(ValueError) as fault:
        folders.next_file(prefix, top / "output", ".png")
    assert words in str(fault.value) and not list((top / "output").iterdir())


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("my pictures /pic", "my pictures /pic_00001_.png"),  # already exists
        ("console", "console_00001_.png"),
        ("sub\\pic", "sub/pic_00001_.png"),
        ("v1.5", "v1.5_00001_.png"),
        ("\u6c34\u3000\u58a8", "\u6c34\u3000\u58a8_00001_.png"),
        ("sub//pic", "sub/pic_00001_.png"),
    ],
)
def test_other_prefixes_are_saved(desk, prefix, name):
    top = desk("output/my pictures /x")
    assert folders.next_file(prefix, top / "output", ".png") == top / "output" / name


def network(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_network(Hypernetwork(HypernetSpec(widths=(16,)), Record(name="a")), path)


def test_a_network_with_another_spelling_is_loaded_and_its_node_says_so(desk):
    top = desk()
    network(top / "models/hypernetworks/styles/cafe\u0301.pt")
    assert LoadHypernet.validate_inputs("Styles\\caf\u00e9.pt") is True
    shown = LoadHypernet.execute("Styles\\caf\u00e9.pt").ui.as_dict()["text"][0]
    assert shown.startswith('There is no "Styles\\caf\u00e9.pt"; "styles/cafe\u0301.pt" is used')
    exact = LoadHypernet.execute("styles/cafe\u0301.pt").ui.as_dict()["text"][0]
    assert "is used" not in exact


def test_commands_find_networks_by_path_and_by_name_and_save_under_good_names(desk):
    top = desk()
    network(top / "models/hypernetworks/styles/ink.pt")
    parser = __import__("argparse").ArgumentParser()
    file_commands.add_parsers(parser.add_subparsers(dest="command"))
    for wanted in ("ink", "Styles\\INK", str(top / "models/hypernetworks/styles/Ink.pt")):
        assert file_commands.opened(wanted).record.name == "a"
    for out in ("nul.pt", "a?.pt", "aux.v1.safetensors"):
        arguments = parser.parse_args(["convert", "ink", str(top / out)])
        with pytest.raises(ValueError, match="Name"):
            file_commands.convert_file(arguments)
        assert not (top / out).exists()
