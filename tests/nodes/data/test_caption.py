"""Caption and Training Words, through the host: words in, words out, and no caption ever lost."""

import importlib.util
import json
from pathlib import Path

import pytest
from hypernet_pack.compat import io, ui
from PIL import Image

spec = importlib.util.spec_from_file_location(
    "tiny_taggers", Path(__file__).parents[2] / "hypernet" / "taggers" / "tiny_taggers.py"
)
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)


class ShowDataset(io.ComfyNode):
    """Says the captions and repeats of a dataset."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ShowDataset",
            is_output_node=True,
            inputs=[io.Custom("HYPERNET_DATASET").Input("dataset")],
        )

    @classmethod
    def execute(cls, dataset):
        told = {item.path.name: (item.caption, item.repeats) for item in dataset.items}
        told["templates"] = dataset.words.templates
        return io.NodeOutput(ui=ui.PreviewText(json.dumps(told)))


@pytest.fixture
def room(tmp_path):
    """(folder of pictures, models, caption): caption(...) runs the graph, gives name -> caption."""
    from hypernet_pack.cli import main as command
    from hypernet_pack.compat.standalone import folders
    from hypernet_pack.compat.standalone.graph.executor import Executor

    pictures = tmp_path / "input" / "pictures"
    pictures.mkdir(parents=True)
    for name, colour in (("1 blue", (0, 0, 255)), ("2 green", (0, 255, 0)), ("3 red", "red")):
        Image.new("RGB", (16, 16), colour).save(pictures / f"{name}.png")
    (pictures / "3 red.txt").write_text("by hand, tag", "utf-8")
    installed = [*command.asyncio.run(command._installed_nodes()), ShowDataset]

    def run(*chain, unreadable="stop"):
        """chain: (class, inputs) of the nodes after Load Dataset."""
        prompt = {
            "0": node(
                "HypernetLoadDataset",
                folder="pictures", width=64, height=64, subfolders=True, unreadable=unreadable,
            )
        }  # fmt: skip
        for kind, inputs in chain:
            prompt[str(len(prompt))] = node(kind, dataset=[str(len(prompt) - 1), 0], **inputs)
        last = str(len(prompt) - 1)
        prompt["show"] = node("ShowDataset", dataset=[last, 0])
        places = dict(
            input=tmp_path / "input", output=tmp_path / "output", models=tmp_path / "models"
        )
        with folders.configured(**places):
            return Executor(installed).run(json.loads(json.dumps(prompt)))

    def caption(**inputs):
        return told(run(("HypernetCaption", CAPTION | inputs)))

    return pictures, tmp_path / "models", run, caption


CAPTION = {"source": "sidecar, then file name", "fixed_text": "", "template": "[filewords]"}
WORDS = {
    "template_file": "", "shuffle": False, "keep_first": 0, "tag_dropout": 0.0,
    "caption_dropout": 0.0, "variants": 16, "weights": "",
}  # fmt: skip
WD = {"source": "tagger only", "tagger": "WD tagger", "tagger.model": "wd-tiny"}


def told(result):
    assert result.status == "success", error_of(result)
    said = json.loads(result.outputs["show"]["text"][0])
    said.pop("templates")
    return [caption for caption, _ in said.values()]


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}"


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def test_a_workflow_of_the_first_release_gives_what_it_gave(room):
    _, _, _, caption = room
    assert caption() == ["blue", "green", "by hand, tag"]
    assert caption(source="file name only") == ["blue", "green", "red"]
    assert caption(source="sidecar only") == ["", "", "by hand, tag"]
    assert caption(source="sidecar, then fixed text", fixed_text="x") == ["x", "x", "by hand, tag"]


def test_a_tagger_gives_words_and_its_options_come_with_it(room):
    _, models, _, caption = room
    tiny.write_wd(models / "wd14_tagger" / "wd-tiny")
    # this tagger sees blue as "general" (a rating), green as "sensitive", red as "1girl"
    assert caption(**WD) == ["", "", "1girl"]
    rated = {"tagger.rating_threshold": 0.5, "tagger.general_threshold": 1.0}
    assert caption(**WD | rated) == ["general", "sensitive", ""]
    scored = {"tagger.scores": True, "tagger.rating_threshold": 0.9}
    assert caption(**WD | scored) == ["(general:1.000)", "(sensitive:1.000)", "(1girl:1.000)"]
    assert caption(**WD, replace_tags="1girl -> a woman", trigger_word="sks") == [
        "sks", "sks", "sks, a woman",
    ]  # fmt: skip
    assert caption(**WD | {"source": "sidecar, then tagger"}) == ["", "", "by hand, tag"]
    cached = list((models.parent / "output" / "hypernet_cache").glob("*.tsv"))
    assert len(cached) == 1 and cached[0].read_bytes().count(b"\n") == 3


def test_blip_and_words_of_the_file_name_add_up_to_one_caption(room):
    _, models, run, _ = room
    tiny.write_blip(models / "blip" / "small")
    blip = {"source": "tagger only", "tagger": "BLIP", "tagger.model": "small"}
    first = ("HypernetCaption", CAPTION | blip)
    second = ("HypernetCaption", CAPTION | {"source": "file name only", "existing": "prepend"})
    for caption, word in zip(told(run(first, second)), ("blue", "green", "red"), strict=True):
        assert caption.endswith(f", {word}") and len(caption.split()) > 20


@pytest.mark.parametrize(
    ("existing", "third"),
    [
        ("ignore", "1girl"),
        ("keep", "by hand, tag"),
        ("replace", "1girl"),
        ("prepend", "by hand, tag, 1girl"),
        ("append", "1girl, by hand, tag"),
    ],
)
def test_existing_captions_are_treated_as_asked(room, existing, third):
    _, models, _, caption = room
    tiny.write_wd(models / "wd14_tagger" / "wd-tiny")
    assert caption(**WD, existing=existing) == ["", "", third]


def test_two_captions_in_a_row_add_up(room):
    _, models, run, _ = room
    tiny.write_wd(models / "wd14_tagger" / "wd-tiny")
    first = ("HypernetCaption", CAPTION | {"source": "file name only"})
    second = ("HypernetCaption", CAPTION | WD | {"existing": "prepend"})
    assert told(run(first, second)) == ["blue", "green", "red, 1girl"]


def test_sources_are_asked_in_the_order_given(room):
    _, _, _, caption = room
    order = {"source": "as in source_order"}
    assert caption(**order, source_order="folder name, sidecar") == ["pictures"] * 3
    assert caption(**order, source_order="sidecar, tagger, fixed text", fixed_text="x") == [
        "x", "x", "by hand, tag",
    ]  # fmt: skip
    pattern = {"name_pattern": "[a-z]", "name_joint": "-"}
    assert caption(source="file name only", **pattern)[2] == "r-e-d"


def test_sidecars_are_written_when_asked_and_old_ones_are_kept(room):
    pictures, _, _, caption = room
    names = {"source": "file name only"}
    caption(**names)
    assert sorted(p.name for p in pictures.glob("*.txt*")) == ["3 red.txt"]
    caption(**names, write_sidecars="where there is none")
    assert (pictures / "1 blue.txt").read_text() == "blue\n"
    assert (pictures / "3 red.txt").read_text() == "by hand, tag"
    caption(**names, write_sidecars="always, keeping old ones", existing="prepend")
    assert (pictures / "3 red.txt").read_text() == "by hand, tag, red\n"
    assert (pictures / "3 red.txt.bak").read_text() == "by hand, tag"
    again = {p: p.read_bytes() for p in pictures.iterdir()}
    caption(**names, write_sidecars="always, keeping old ones", existing="prepend")
    assert {p: p.read_bytes() for p in pictures.iterdir()} == again


def test_an_empty_caption_is_never_written_over_words(room):
    pictures, _, _, caption = room
    caption(source="fixed text only", write_sidecars="always, keeping old ones")
    assert (pictures / "3 red.txt").read_text() == "by hand, tag"


TAGGERS = {
    "WD tagger": ("wd14_tagger", "Put a folder with model.onnx and selected_tags.csv"),
    "DeepDanbooru": ("deepdanbooru", "Put model-resnet_custom_v3.pt"),
    "BLIP": ("blip", "Put the folder of a BLIP captioning model in transformers' form"),
}
NAMES = [
    "wd-v1-4-moat-tagger-v2",
    "(none found)",
    "",
    "../../secret",
    "wd-tiny.onnx",
    "wd tiny",
    "图",
]


@pytest.mark.parametrize("kind", TAGGERS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("others", [False, True], ids=["none here", "another here"])
def test_a_tagger_that_is_not_here_is_told_with_its_file_and_folder(room, kind, name, others):
    """The choice comes from another machine: it must not fail at the host's list of names."""
    _, models, run, _ = room
    folder, needs = TAGGERS[kind]
    if others:
        tiny.write_wd(models / "wd14_tagger" / "wd-tiny")
    asked = {"source": "tagger only", "tagger": kind, "tagger.model": name}
    said = error_of(run(("HypernetCaption", CAPTION | asked))).replace("\\'", "'")
    assert f'There is no {kind} model "{name}". {needs}' in said
    assert f'into "{models / folder}".' in said
    assert ("There is: wd-tiny." in said) == (others and kind == "WD tagger")
    assert "not in [" not in said


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"source": "tagger only"}, 'such as "1 blue.png", need the tagger'),
        (
            WD,
            'no WD tagger model "wd-tiny". Put a folder with model.onnx and selected_tags.csv',
        ),
        (
            {"source": "tagger only", "tagger": "DeepDanbooru", "tagger.model": "(none found)"},
            "model-resnet_custom_v3.pt",
        ),
        ({"source_order": "side"}, '"side" is none'),
        ({"name_pattern": "("}, 'File name pattern "("'),
        ({"replace_tags": "a = b"}, '"a = b"'),
        ({"existing": "burn"}, "burn"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(room, inputs, words):
    _, models, run, _ = room
    if inputs is WD:  # known to the editor and gone since
        inputs = inputs | {"tagger.model": "(none found)"}
        words = words.replace("wd-tiny", "(none found)")
    result = run(("HypernetCaption", CAPTION | inputs))
    assert result.status != "success" and words in error_of(result).replace("\\'", "'")
    assert str(models) in error_of(result) or "tagger.model" not in inputs


def test_a_spoilt_picture_stops_the_tagger_by_name_or_is_left_out(room):
    pictures, models, run, _ = room
    tiny.write_wd(models / "wd14_tagger" / "wd-tiny")
    Image.effect_noise((64, 64), 90).save(pictures / "4 rotten.webp", lossless=True)
    rotten = bytearray((pictures / "4 rotten.webp").read_bytes())
    rotten[40:1500] = bytes(1460)
    (pictures / "4 rotten.webp").write_bytes(rotten)
    result = run(("HypernetCaption", CAPTION | WD))
    assert result.status == "error" and "4 rotten.webp" in error_of(result)
    result = run(("HypernetCaption", CAPTION | WD), unreadable="skip")
    assert told(result) == ["", "", "1girl", ""]


def test_stopping_the_tagger_half_way_keeps_what_it_has_seen(room, monkeypatch):
    from hypernet_pack import compat
    from hypernet_pack.compat.standalone.progress import request_interrupt
    from hypernet_pack.nodes.data import tagging

    _, models, run, caption = room
    tiny.write_wd(models / "wd14_tagger" / "wd-tiny")

    class Stopping(compat.Progress):
        def update(self, step, preview=None):
            super().update(step, preview)
            request_interrupt()

    with monkeypatch.context() as patched:
        patched.setattr(compat, "Progress", Stopping)
        patched.setattr(tagging, "BATCH", 2)
        assert run(("HypernetCaption", CAPTION | WD)).status == "interrupted"
    (cached,) = (models.parent / "output" / "hypernet_cache").glob("*.tsv")
    assert cached.read_bytes().count(b"\n") == 2
    assert caption(**WD) == ["", "", "1girl"]


def test_training_words_read_a_template_file_and_weigh_pictures(room):
    pictures, _, run, _ = room
    (pictures / "style.txt").write_bytes("\ufeffart by [name]\r\n\r\n[filewords]\r\n".encode())
    words = WORDS | {"template_file": "pictures/style.txt", "weights": "red = 2\n*blue* = 0"}
    result = run(
        ("HypernetCaption", CAPTION | {"source": "file name only"}),
        ("HypernetWords", words | {"shuffle": True, "tag_dropout": 0.1}),
    )
    assert result.status == "success", error_of(result)
    said = json.loads(result.outputs["show"]["text"][0])
    assert said.pop("templates") == ["art by [name]", "[filewords]"]
    assert {name: repeats for name, (_, repeats) in said.items()} == {
        "1 blue.png": 0, "2 green.png": 1, "3 red.png": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"template_file": "nowhere.txt"}, "nowhere.txt"),
        ({"template_file": "pictures"}, "cannot be read"),
        ({"weights": "red: 2"}, '"red: 2"'),
        ({"weights": "* = 0"}, "leave out every picture"),
        ({"tag_dropout": 2}, "2"),
    ],
)
def test_words_that_cannot_be_are_refused(room, inputs, words):
    _, _, run, _ = room
    result = run(("HypernetWords", WORDS | inputs))
    assert result.status != "success" and words in error_of(result)
