"""What ComfyUI answers to a graph with bad inputs, when the rest of it runs."""

from __future__ import annotations

from comfyui_server import ComfyUI, node


def converting(**changes) -> dict[str, dict]:
    settings = {"name": "again", "file_format": "pt", "numbers": "float32"} | changes
    return {
        "file": node("HypernetLoad", name="no such.pt"),
        "convert": node("HypernetConvert", hypernet=["file", 0], **settings),
        "saved": node("HypernetSave", hypernet=["convert", 0], name="again"),
        "estimate": node(
            "HypernetConfig", layer_structure="1, 2, 1", activation="relu",
            weight_initialization="Normal", layer_norm=False, dropout_structure="",
            activate_output=False, widths="", seed=0,
        ),
        "shown": node("PreviewAny", source=["estimate", 1]),
    }  # fmt: skip


def test_each_fault_stands_on_its_input_though_another_output_is_queued(comfyui: ComfyUI):
    prompt = converting(name="../ink", keep_widths="wide", add_widths="768")
    status, answer = comfyui.post("/prompt", {"prompt": prompt})
    assert status == 200 and answer["prompt_id"]
    found = {
        error["extra_info"]["input_name"]: error["details"]
        for error in answer["node_errors"]["convert"]["errors"]
    }
    assert found.keys() == {"name", "keep_widths"}
    assert found["name"].startswith('name - Name "../ink"')
    assert found["keep_widths"].startswith('keep_widths - Widths "wide"')
    assert comfyui.outcome(answer["prompt_id"]).status == "success"
    (fault,) = answer["node_errors"]["file"]["errors"]
    assert fault["details"].startswith('name - There is no hypernetwork "no such.pt"')


def test_the_answer_by_itself_names_the_input(comfyui: ComfyUI):
    """As it is in the console, and wherever nobody takes it apart."""
    comfyui.post("/prompt", {"prompt": converting(add_widths="many", keep_widths="")})
    assert 'name - add_widths: Widths "many"' in comfyui.words()
