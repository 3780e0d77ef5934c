"""Captions from a node that describes pictures, through the host: every picture gets its own text,
no text is asked for twice, and no file of the user's changes unasked."""

import json
from typing import ClassVar

import pytest
from hypernet_pack.compat import io, ui
from PIL import Image

COLOURS = {"1 blue": "blue", "2 green": "lime", "3 red": "red"}


class Describe(io.ComfyNode):
    """Stands for a vision model: runs once for each picture of a list."""

    asked: ClassVar[list[str]] = []

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Describe",
            inputs=[io.Image.Input("image"), io.String.Input("prompt", default="")],
            outputs=[io.String.Output("text")],
        )

    @classmethod
    def execute(cls, image, prompt):
        assert image.shape[0] == 1 and image.shape[-1] == 3
        red, green, blue = (image.mean((0, 1, 2)) > 0.5).tolist()
        colour = "red" if red else "green" if green else "blue" if blue else "black"
        cls.asked.append(f"{colour} {tuple(image.shape[1:3])}")
        return io.NodeOutput(prompt.replace("COLOUR", colour))


class Fixed(io.ComfyNode):
    """A list of texts that has nothing to do with pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Fixed",
            inputs=[io.String.Input("lines", multiline=True)],
            outputs=[io.String.Output("text", is_output_list=True)],
        )

    @classmethod
    def execute(cls, lines):
        return io.NodeOutput(lines.split("|"))


class Show(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Show",
            is_output_node=True,
            inputs=[io.Custom("HYPERNET_DATASET").Input("dataset"), io.String.Input("report")],
        )

    @classmethod
    def execute(cls, dataset, report):
        captions = {item.path.name: item.caption for item in dataset.items}
        return io.NodeOutput(ui=ui.PreviewText(json.dumps([captions, report])))


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture
def room(tmp_path):
    """(folder of pictures, ask): ask(prompt, texts=, side=, **caption) gives the run's result. Each
    run is a host that was just started."""
    from hypernet_pack.cli import main as command
    from hypernet_pack.compat.standalone import folders
    from hypernet_pack.compat.standalone.graph.executor import Executor

    Describe.asked.clear()
    pictures = tmp_path / "input" / "pictures"
    pictures.mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (160, 80), colour).save(pictures / f"{name}.png")
    installed = [*command.asyncio.run(command._installed_nodes()), Describe, Fixed, Show]

    def ask(prompt="a COLOUR square", texts=("describe", 0), side=80, thumbnails=0, **caption):
        connected = {"texts": list(texts)} if texts else {}
        graph = {
            "data": node(
                "HypernetLoadDataset", folder="pictures", width=64, height=64, subfolders=True,
                unreadable="stop", thumbnails=thumbnails,
            ),
            "pictures": node("HypernetDatasetPictures", dataset=["data", 0], longest_side=side),
            "describe": node("Describe", image=["pictures", 0], prompt=prompt),
            "fixed": node("Fixed", lines=prompt),
            "caption": node(
                "HypernetCaption",
                **{"dataset": ["data", 0], "source": "texts only", "fixed_text": "",
                   "template": "[filewords]"} | connected | caption,
            ),
            "show": node("Show", dataset=["caption", 0], report=["caption", 1]),
        }  # fmt: skip
        places = {"input": "input", "output": "output", "models": "models"}
        with folders.configured(**{name: tmp_path / name for name in places}):
            return Executor(installed).run(json.loads(json.dumps(graph)))

    return pictures, ask


def told(result):
    """(captions in the dataset's order, the report)"""
    assert result.status == "success", refused(result)
    captions, report = json.loads(result.outputs["show"]["text"][0])
    return [*captions.values()], report


def refused(result):
    return f"{result.error or ''} {result.node_errors or ''}".replace("\\'", "'")


def test_every_picture_gets_the_text_about_it(room):
    _, ask = room
    captions, report = told(ask("a COLOUR square"))
    assert captions == ["a blue square", "a green square", "a red square"]
    assert Describe.asked == ["blue (40, 80)", "green (40, 80)", "red (40, 80)"]  # whole, smaller
    assert report.splitlines() == captions


def test_pictures_are_not_enlarged(room):
    _, ask = room
    told(ask(side=768))
    assert Describe.asked[0] == "blue (80, 160)"


def test_rules_of_caption_apply_to_texts(room):
    _, ask = room
    captions, _ = told(ask("square, COLOUR", trigger_word="sks", replace_tags="red -> crimson"))
    assert captions == ["sks, square, blue", "sks, square, green", "sks, square, crimson"]


def test_a_model_runs_only_if_some_picture_needs_words(room):
    pictures, ask = room
    for name in COLOURS:
        (pictures / f"{name}.txt").write_text(f"by hand {name}", "utf-8")
    captions, _ = told(ask(source="sidecar, then texts"))
    assert captions[0] == "by hand 1 blue" and Describe.asked == []
    (pictures / "2 green.txt").unlink()
    captions, _ = told(ask(source="sidecar, then texts"))
    assert captions == ["by hand 1 blue", "a green square", "by hand 3 red"]
    assert told(ask(source="as in source_order", source_order="sidecar, texts"))[0] == captions
    assert told(ask(source="texts only", existing="keep"))[0] == captions


def test_the_same_question_is_not_asked_again_after_a_restart(room):
    pictures, ask = room
    first, report = told(ask())
    assert len(Describe.asked) == 3 and "earlier" not in report
    again, report = told(ask(thumbnails=4, trigger_word=""))  # nothing that the model is asked
    assert again == first and len(Describe.asked) == 3
    assert "The texts of 3 pictures are from an earlier run." in report
    told(ask("COLOUR!"))  # another question
    told(ask(side=64))  # other pixels
    assert len(Describe.asked) == 9
    Image.new("RGB", (160, 80), "red").save(pictures / "2 green.png")  # as 3 red is already
    assert told(ask())[0][1] == "a red square" and len(Describe.asked) == 9
    Image.new("RGB", (160, 80), "black").save(pictures / "2 green.png")
    assert told(ask())[0][1] == "a black square" and len(Describe.asked) == 12
    (pictures / "1 blue.png").rename(pictures / "0 blue.png")
    assert told(ask())[0][0] == "a blue square" and len(Describe.asked) == 12


def test_texts_that_are_not_about_dataset_pictures_are_taken_as_they_come(room):
    pictures, ask = room
    captions, _ = told(ask("x|y|z", texts=("fixed", 0)))
    assert captions == ["x", "y", "z"]
    assert not list((pictures.parents[1] / "output").glob("hypernet_cache/texts*"))


@pytest.mark.parametrize(("lines", "count"), [("x|y", 2), ("one for all", 1), ("a|b|c|d", 4)])
def test_another_number_of_texts_than_pictures_is_refused_with_both(room, lines, count):
    _, ask = room
    said = refused(ask(lines, texts=("fixed", 0)))
    assert f"There are {count} texts for 3 pictures." in said


def test_texts_that_say_nothing_leave_it_to_the_next_source(room):
    _, ask = room
    lines = "Sure! Here is it: a fox||I'm sorry, I can't."
    captions, report = told(ask(lines, texts=("fixed", 0)))
    assert captions == ["a fox", "", ""]
    assert 'The texts say nothing about 2 pictures: "2 green.png", "3 red.png".' in report
    assert 'talk that was cut off, such as "Sure! Here is it:".' in report
    order = {"source": "as in source_order", "source_order": "texts, file name"}
    assert told(ask(lines, texts=("fixed", 0), **order))[0] == ["a fox", "green", "red"]


def test_texts_do_not_replace_a_sidecar_unless_asked(room):
    pictures, ask = room
    (pictures / "3 red.txt").write_text("by hand", "utf-8")
    told(ask())
    assert sorted(path.name for path in pictures.glob("*.txt*")) == ["3 red.txt"]
    told(ask(write_sidecars="where there is none"))
    assert (pictures / "1 blue.txt").read_text() == "a blue square\n"
    assert (pictures / "3 red.txt").read_text() == "by hand"


def test_texts_that_are_missing_or_not_used_are_told(room):
    _, ask = room
    said = refused(ask(texts=None))
    assert '3 pictures, such as "1 blue.png", need texts' in said and "Dataset Pictures" in said
    _, report = told(ask(source="file name only"))
    assert 'the source "file name only" does not use them' in report and Describe.asked == []


def test_a_damaged_picture_is_named_because_texts_would_shift(room):
    pictures, ask = room
    rotten = bytearray((pictures / "2 green.png").read_bytes())
    rotten[60:] = bytes(len(rotten) - 60)
    (pictures / "2 green.png").write_bytes(rotten)
    assert "2 green.png" in refused(ask()) and Describe.asked == []


def test_several_of_what_there_must_be_one_are_refused(room):
    _, ask = room
    said = refused(ask("a|b|c", fixed_text=["fixed", 0]))
    assert "There are several of fixed_text (3), and one of each is needed." in said
