"""Preparing in a graph: from a folder to a sheet, a training run and a folder of its own."""

from pathlib import Path

import pytest
from hypernet_pack.nodes.data import load_dataset, prepare_dataset
from PIL import Image

from hypernet.dataset.prepare import Preparation
from hypernet.dataset.reading import read_dataset


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture
def prepared(graph):
    """A function: the training graph with a Prepare Dataset and its options."""

    def make(**options):
        simple = {
            "size": "one size", "crop": "middle", "split_oversized": False, "flip_copies": False,
            "loss_mask": "none", "thumbnails": 4,
        }  # fmt: skip
        whole = graph(steps=2, batch_size=2, accumulation=1)
        whole["prepare"] = node("HypernetPrepare", dataset=["data", 0], **simple | options)
        whole["words"]["inputs"]["dataset"] = ["prepare", 0]
        return whole

    return make


def test_training_goes_over_pictures_of_several_sizes(host, prepared):
    folder, run = host
    Image.new("RGB", (40, 60)).save(folder / "input" / "pictures" / "tall fox.png")
    result = run(prepared(size="buckets", bucket_step=16, crop="focal point", flip_copies=True))
    assert result.status == "success", f"{result.error} {result.node_errors}"
    assert (folder / "models" / "hypernetworks" / "style.pt").exists()
    shown = result.outputs["prepare"]
    assert "With parts and mirrored copies they make 12." in shown["text"][0]
    sheet = shown["images"][0]
    assert (folder / "output" / "temp" / sheet["filename"]).is_file()


def test_a_prepared_folder_is_saved_once_and_loads_again(host, prepared):
    folder, run = host
    graph = prepared(flip_copies=True)
    graph["save"] = node("HypernetSavePrepared", dataset=["words", 0], name="ready")
    del graph["train"], graph["config"], graph["model"]
    result = run(graph)
    assert result.status == "success", f"{result.error} {result.node_errors}"
    assert "Saved 10 pictures" in result.outputs["save"]["text"][0]
    saved = read_dataset(folder / "output" / "ready", 64, 64)
    assert {item.caption for item in saved.items} >= {"red dog", "blue cat"}
    again = node("HypernetLoadDataset", folder="ready [output]", width=64, height=64,
                 subfolders=True, unreadable="stop", thumbnails=3)  # fmt: skip
    result = run({"again": again, "look": node("PreviewImage", images=["again", 2])})
    assert result.status == "success", f"{result.error} {result.node_errors}"
    assert "10 pictures" in result.outputs["again"]["text"][0]
    assert result.outputs["look"]["images"]
    del graph["words"]
    graph["save"]["inputs"]["dataset"] = ["prepare", 0]
    result = run(graph)
    assert result.status == "error" and "ready" in str(result.error), "never over what exists"


def test_load_dataset_remembers_measurements_beside_the_output(host, graph):
    folder, run = host
    data = graph()["data"]
    data["inputs"] |= {"find_alike": True, "thumbnails": 1}
    result = run({"data": data, "look": node("PreviewImage", images=["data", 2])})
    assert result.status == "success", f"{result.error} {result.node_errors}"
    assert list((folder / "output" / "hypernet_cache" / "measurements").glob("*.json"))


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("pictures", True),
        ("{input}/pictures", True),
        ("ready [output]", True),
        ("{input}/../elsewhere", False),
        ("../elsewhere", False),
        ("/", False),
        ("{more}/pictures", True),
        ("../elsewhere [output]", False),
    ],
)
def test_a_server_reads_only_the_folders_that_it_lets_graphs_read(
    monkeypatch, tmp_path, folder, allowed
):
    places = {name: tmp_path / name for name in ("input", "output", "more")}
    monkeypatch.setattr(load_dataset, "input_folder", lambda: places["input"])
    monkeypatch.setattr(load_dataset, "output_folder", lambda: places["output"])
    monkeypatch.setattr(load_dataset, "dataset_folders", lambda: list(places.values()))
    folder = folder.format(**places)
    if allowed:
        assert load_dataset.resolve(folder).parent in places.values()
    else:
        with pytest.raises(ValueError, match="outside of the folders.*extra_model_paths.yaml"):
            load_dataset.resolve(folder)
        answer = load_dataset.LoadDataset.validate_inputs(folder)
        assert "outside of the folders" in answer


def test_the_stand_in_reads_any_folder(tmp_path):
    assert load_dataset.resolve(str(tmp_path)) == Path(tmp_path)
    assert load_dataset.LoadDataset.validate_inputs(" ") == (
        "folder: The folder is empty. Give the name of a folder with pictures."
    )


def test_every_option_of_preparing_has_a_widget():
    widgets = {each.id for each in prepare_dataset.PrepareDataset.define_schema().inputs}
    assert widgets == {*Preparation.__dataclass_fields__, "dataset", "thumbnails"}
