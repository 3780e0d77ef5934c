"""`hypernet run` says where everything was written, and what went wrong in one sentence."""

import json
import os
import signal

import pytest
import torch
from hypernet_pack.cli.main import main
from hypernet_pack.compat.standalone import folders, progress
from hypernet_pack.compat.standalone.graph import io, ui


class Paint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Paint",
            display_name="Paint it",
            inputs=[io.Int.Input("size", min=1), io.String.Input("word", default="")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, size, word):
        pictures = torch.zeros(1, size, size, 3)
        shown = ui.ImageSaveHelper.get_save_images_ui(pictures, "red", cls).as_dict()
        network = folders.network_folders()[0] / "n.pt"
        network.parent.mkdir(parents=True, exist_ok=True)
        network.write_text("weights")
        return io.NodeOutput(ui=shown | {"text": [f"word {word}"], "saved": [str(network)]})


class Act(io.ComfyNode):
    """Writes a file, then fails, or gets Ctrl-C once or twice."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Act", inputs=[io.String.Input("how")], is_output_node=True)

    @classmethod
    def execute(cls, how):
        folders.output_folder().mkdir(exist_ok=True, parents=True)
        (folders.output_folder() / "checkpoint.pt").write_text("half")
        if how == "fail":
            raise ValueError("the folder is empty.")
        for _ in range({"once": 1, "twice": 2}[how]):
            os.kill(os.getpid(), signal.SIGINT)
        assert progress.is_interrupted()
        progress.raise_if_interrupted()


@pytest.fixture
def run(tmp_path, capsys):
    def run(nodes, *arguments):
        path = tmp_path / "w.json"
        path.write_text(json.dumps(nodes))
        places = ["--out", str(tmp_path / "out"), "--models", str(tmp_path / "models")]
        code = main(["run", str(path), *places, *arguments], nodes=[Paint, Act])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def act(how):
    return {"2": {"class_type": "Act", "inputs": {"how": how}}}


PAINT = {"1": {"class_type": "Paint", "inputs": {"size": 2, "word": "a"}}}


def test_every_file_and_text_is_named(run, tmp_path):
    code, out, err = run(PAINT, "--set", "Paint.word=hello")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Paint it (node 1): word hello",
        f"Paint it (node 1): {tmp_path / 'out' / 'red_00001_.png'}",
        f"Paint it (node 1): {tmp_path / 'models' / 'hypernetworks' / 'n.pt'}",
    ]
    assert (tmp_path / "out" / "red_00001_.png").exists()


def test_the_editor_format_is_also_run(run):
    node = {"id": 1, "type": "Paint", "title": "My node", "widgets_values": [3, "b"]}
    code, out, _ = run({"nodes": [node], "links": []})
    assert code == 0 and "My node (node 1): word b" in out


REFUSED = [
    (PAINT, ["--set", "Paint.wort=x"], 'no input "wort". Near: word'),
    ({"1": {"class_type": "Paint", "inputs": {"size": 0, "word": ""}}}, [], "size: 0 is below 1"),
    ({"1": {"class_type": "Draw", "inputs": {}}}, [], '"Draw"'),
    ({"a": 1}, [], "neither in API format"),
]


@pytest.mark.parametrize(("nodes", "arguments", "words"), REFUSED)
def test_an_invalid_request_ends_with_one_sentence_and_exit_code_2(run, nodes, arguments, words):
    code, out, err = run(nodes, *arguments)
    assert (code, out) == (2, "")
    assert words in err and err.count("\n") == 1


def test_valid_outputs_run_and_invalid_ones_are_reported(run):
    bad = {"3": {"class_type": "Paint", "inputs": {"size": 2}}}
    code, out, err = run(PAINT | bad)
    assert code == 2 and "red_00001_.png" in out
    assert err == "Paint it (node 3): A required input is missing: word\n"


def test_a_failing_node_is_named_with_its_reason_and_exit_code_1(run, tmp_path):
    code, out, err = run(act("fail"))
    assert (code, err) == (1, "Act (node 2) failed: the folder is empty.\n")
    assert out == f"kept: {tmp_path / 'out' / 'checkpoint.pt'}\n"
    assert "in execute" in run(act("fail"), "--traceback")[2]


def test_ctrl_c_lets_the_node_stop_and_names_the_files_kept(run, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    code, out, err = run(act("once"))
    assert code == 130
    assert out == f"kept: {tmp_path / 'out' / 'checkpoint.pt'}\n"
    assert err.endswith("Act (node 2) was stopped. Files kept: 1.\n")
    assert signal.getsignal(signal.SIGINT) is before and not progress.is_interrupted()


def test_a_second_ctrl_c_stops_at_once(run):
    code, out, err = run(act("twice"))
    assert (code, out) == (130, "") and err.startswith("Stopped at once")
    progress.clear_interrupt()
