"""The stand-in's node types describe themselves as ComfyUI's do, and nodes keep no state."""

import pytest
import torch
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.graph import io, ui
from hypernet_pack.compat.standalone.graph.dynamic_inputs import live_inputs, nest, nested_paths
from hypernet_pack.compat.standalone.graph.node_class import locked_clone, overrides
from hypernet_pack.compat.standalone.graph.socket_types import input_dict
from PIL import Image


def dynamic() -> io.DynamicCombo.Input:
    adam = io.DynamicCombo.Option("adam", [io.Float.Input("lr", default=0.1)])
    sgd = io.DynamicCombo.Option("sgd", [io.Int.Input("warmup", optional=True)])
    return io.DynamicCombo.Input("opt", options=[adam, sgd])


class Paint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestPaint",
            display_name="Paint",
            category="test",
            inputs=[
                io.Image.Input("image", tooltip="a picture"),
                io.Int.Input("steps", default=3, min=1, max=9, advanced=True),
                io.Custom("HYPERNET").Input("network", optional=True, lazy=True),
            ],
            outputs=[io.Image.Output(display_name="picture"), io.Int.Output("count")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            search_aliases=["draw"],
        )

    @classmethod
    def execute(cls, image, steps, network=None):
        return io.NodeOutput(image, steps)


OPTIONS = [
    (io.Int.Input("a", default=1, min=0, max=5, step=1), "INT", {"default": 1, "min": 0, "max": 5}),
    (io.Int.Input("a", control_after_generate=True), "INT", {"control_after_generate": True}),
    (io.Float.Input("a", display_mode=io.NumberDisplay.slider), "FLOAT", {"display": "slider"}),
    (io.Float.Input("a", round=0.01, force_input=True), "FLOAT", {"forceInput": True}),
    (io.String.Input("a", multiline=True, placeholder="x"), "STRING", {"multiline": True}),
    (io.String.Input("a", dynamic_prompts=False), "STRING", {"dynamicPrompts": False}),
    (io.Boolean.Input("a", label_on="y", socketless=True), "BOOLEAN", {"socketless": True}),
    (io.Combo.Input("a", ["x", "y"]), "COMBO", {"options": ["x", "y"], "multiselect": False}),
    (io.Combo.Input("a", options=io.NumberDisplay), "COMBO", {"multiselect": False}),
    (io.Combo.Input("a", ["x"], upload=io.UploadType.image), "COMBO", {"image_upload": True}),
    (io.MultiCombo.Input("a", ["x"], chip=True), "COMBO", {"multi_select": {"chip": True}}),
    (io.Latent.Input("a", raw_link=True, tooltip="t"), "LATENT", {"rawLink": True, "tooltip": "t"}),
    (io.AnyType.Input("a", extra_dict={"own": 1}), "*", {"own": 1}),
]


@pytest.mark.parametrize(("socket", "kind", "options"), OPTIONS)
def test_an_input_has_the_type_and_options_that_the_editor_expects(socket, kind, options):
    assert socket.get_io_type() == kind
    assert options.items() <= socket.as_dict().items()
    assert "id" not in socket.as_dict() and "optional" not in socket.as_dict()


def test_a_custom_type_carries_its_name_and_leaves_others_alone():
    assert io.Custom("HYPERNET").Output().io_type == "HYPERNET"
    assert io.Image.Input("a").io_type == "IMAGE"
    assert io.Custom("HYPERNET").Input("a").io_type == "HYPERNET"


def test_object_info_describes_a_node():
    info = Paint.GET_NODE_INFO_V1()
    assert list(info["input"]["required"]) == ["image", "steps"] == info["input_order"]["required"]
    assert info["input"]["required"]["steps"] == (
        "INT",
        {"default": 3, "min": 1, "max": 9, "advanced": True},
    )
    assert info["input"]["optional"]["network"] == ("HYPERNET", {"lazy": True})
    assert set(info["input"]["hidden"]) == {"unique_id", "prompt", "extra_pnginfo"}
    assert (info["output"], info["output_name"]) == (["IMAGE", "INT"], ["picture", "count"])
    assert info["output_node"] and info["search_aliases"] == ["draw"]


def test_object_info_lists_the_inputs_of_each_choice():
    kind, options = input_dict([dynamic()])["required"]["opt"]
    assert kind == "COMFY_DYNAMICCOMBO_V3"
    assert options["options"][0] == {
        "key": "adam",
        "inputs": {"required": {"lr": ("FLOAT", {"default": 0.1})}},
    }


def test_values_of_a_choice_arrive_as_one_dict():
    values = {"opt": "adam", "opt.lr": 0.1, "other": 1}
    live = live_inputs([dynamic()], values)
    assert list(live) == ["opt", "opt.lr"]
    nested = nest(values, nested_paths(live, values))
    assert nested == {"opt": {"opt": "adam", "lr": 0.1}, "other": 1}


def test_a_nested_value_that_is_not_given_is_none():
    values = {"opt": "sgd"}
    live = live_inputs([dynamic()], values)
    assert nest(values, nested_paths(live, values)) == {"opt": {"opt": "sgd", "warmup": None}}


def test_two_inputs_with_the_same_name_are_refused():
    class Twice(Paint):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="T", inputs=[io.Int.Input("a"), io.Int.Input("a")])

    with pytest.raises(ValueError, match=r"input ids \['a'\]"):
        Twice.GET_SCHEMA()


def test_a_locked_clone_cannot_be_changed_and_knows_its_hidden_values():
    clone = locked_clone(Paint, {"unique_id": "7"})
    assert clone.hidden.unique_id == "7" and clone.hidden.prompt is None
    assert clone.execute(1, 2).result == (1, 2)
    with pytest.raises(AttributeError, match="state"):
        clone.memory = 1
    Paint.memory = 1  # the class itself is the author's own
    del Paint.memory


def test_only_overridden_hooks_count():
    class Checked(Paint):
        @classmethod
        def validate_inputs(cls, steps):
            return True

    assert overrides(Checked, "validate_inputs")
    assert not overrides(Paint, "validate_inputs")


def test_pictures_are_numbered_and_carry_the_prompt(tmp_path):
    cls = locked_clone(Paint, {"prompt": {"1": {}}, "extra_pnginfo": {"workflow": {"a": 1}}})
    with folders.configured(output=tmp_path):
        for number in (1, 2):
            shown = ui.ImageSaveHelper.get_save_images_ui(torch.ones(1, 4, 6, 3), "sub/a", cls)
            name = f"a_0000{number}_.png"
            assert shown.as_dict() == {
                "images": [{"filename": name, "subfolder": "sub", "type": "output"}]
            }
        preview = ui.PreviewImage(torch.zeros(2, 4, 6, 3), cls=cls).as_dict()["images"]
        assert [image["type"] for image in preview] == ["temp", "temp"]
    picture = Image.open(tmp_path / "sub" / "a_00002_.png")
    assert picture.size == (6, 4) and picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.info == {"prompt": '{"1": {}}', "workflow": '{"a": 1}'}


def test_a_mask_is_displayed_as_grey(tmp_path):
    with folders.configured(output=tmp_path):
        (result,) = ui.PreviewMask(torch.full((1, 4, 6), 0.5)).as_dict()["images"]
        assert Image.open(folders.temp_folder() / result["filename"]).getpixel((0, 0)) == (127,) * 3


@pytest.mark.parametrize("prefix", ["../a", "", "/a"])
def test_nothing_is_written_outside_the_output_folder(tmp_path, prefix):
    with pytest.raises(ValueError, match="leads out of"):
        folders.next_file(prefix, tmp_path / "output", ".png")


def test_marks_in_a_name_choose_the_folder(tmp_path):
    with folders.configured(input=tmp_path / "in", output=tmp_path / "out"):
        assert folders.resolve("a.png") == tmp_path / "in" / "a.png"
        assert folders.resolve("a.png [output]") == tmp_path / "out" / "a.png"
        assert folders.resolve("a.png [temp]") == tmp_path / "out" / "temp" / "a.png"
        with pytest.raises(ValueError, match="leads out of"):
            folders.resolve("../a.png")


def test_new_networks_and_checkpoints_are_seen_at_once(tmp_path):
    with folders.configured(models=tmp_path):
        assert folders.network_names() == folders.checkpoint_names() == []
        for name in (
            "hypernetworks/style/a.pt",
            "hypernetworks/b.safetensors",
            "checkpoints/sub/c.safetensors",
            "checkpoints/d.ckpt",
        ):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "checkpoints/tiny/unet").mkdir(parents=True)
        (tmp_path / "checkpoints/tiny/model_index.json").touch()
        (tmp_path / "checkpoints/tiny/unet/part.safetensors").touch()
        assert folders.network_names() == ["b.safetensors", "style/a.pt"]
        assert folders.model_folders("wd14_tagger") == [tmp_path / "wd14_tagger"]
        assert folders.checkpoint_names() == ["sub/c.safetensors", "tiny"]
        assert folders.find_checkpoint("tiny") == tmp_path / "checkpoints/tiny"
        assert folders.find_checkpoint(str(tmp_path)) == tmp_path
        with pytest.raises(FileNotFoundError, match=r'"tinny".*Near: tiny'):
            folders.find_checkpoint("tinny")


def test_folders_can_be_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERNET_OUTPUT", str(tmp_path))
    assert folders.output_folder() == tmp_path
    monkeypatch.delenv("HYPERNET_OUTPUT")
    monkeypatch.chdir(tmp_path)
    assert folders.output_folder() == tmp_path / "output"
