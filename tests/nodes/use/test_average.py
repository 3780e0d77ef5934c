"""A training keeps averages and chooses a width on its probe; node and command line make it."""

import json

import pytest
import torch
from hypernet_pack.cli.main import main
from hypernet_pack.compat.standalone.progress import request_interrupt

from hypernet import open_network
from hypernet.runs.snapshots import rebuild, snapshot_files, snapshots_in
from hypernet.runs.state import newest_state

AVERAGED = dict(
    steps=6, batch_size=1, accumulation=1, save_every=0, preview_steps=1, averages=3, probe_every=2
)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.fixture
def trained(host, graph):
    """trained(**changes): (what the node said, the run's folder)."""
    folder, run = host

    def do(**changes):
        result = run(graph(**AVERAGED | changes))
        assert result.status == "success", result.error
        return "".join(result.outputs["train"]["text"]), folder / "output" / "hypernet" / "style"

    return do


@pytest.fixture
def averaged(host):
    """averaged(**inputs): what came of Average Hypernet."""
    return lambda **inputs: host[1](
        {
            "average": {
                "class_type": "HypernetAverage",
                "inputs": {"run": "style", "width": 0.0, "name": "calm"} | inputs,
            }
        }
    )


def chosen(run):
    return json.loads((run / "manifest.json").read_text())["averages"]


def test_the_probe_chooses_a_width_and_the_run_tells_the_curve(host, trained):
    said, run = trained()
    entry = chosen(run)
    losses = {float(width): loss for width, loss in entry["losses"].items()}
    assert {0.05, 0.1} <= set(losses) and entry["width"] == min(losses, key=losses.get)
    assert entry["without"] > 0
    assert "The probe's loss by the width of the average is" in said
    assert f"The best width is {entry['width']:g}: Average Hypernet makes it." in said
    assert [step for _, (_, step, width) in snapshot_files(run) if width == 0.05] == [2, 4, 6]
    network = open_network(host[0] / "models" / "hypernetworks" / "style.pt")
    last = newest_state(run)[0]
    assert torch.equal(weights(network), torch.cat([w.flatten() for w in last.weights.values()]))


@pytest.mark.parametrize("width", [0, 0.05, 0.08])
def test_the_node_makes_the_chosen_width_or_another(host, trained, averaged, width):
    _, run = trained()
    result = averaged(width=width)
    assert result.status == "success", result.error
    file = host[0] / "models" / "hypernetworks" / "calm.pt"
    expected = rebuild(snapshots_in(run), width or chosen(run)["width"])
    network = open_network(file)
    assert torch.equal(weights(network), weights(expected.network))
    assert network.record.name == "calm" and network.record.step == 6
    assert network.record.optional_info.startswith("average of style, relative width 0.0")
    (text,) = result.outputs["average"]["text"]
    assert text == f"{expected.about}\nSaved {file}"
    again = averaged(width=width)
    assert again.status == "error" and "calm.pt" in str(again.error)
    assert torch.equal(weights(open_network(file)), weights(network))


def test_averages_change_neither_the_network_nor_what_is_trained_again(host, trained):
    trained(averages=0)
    file = host[0] / "models" / "hypernetworks" / "style.pt"
    first = weights(open_network(file))
    file.unlink()
    (host[0] / "output" / "hypernet" / "style").rename(host[0] / "other")
    trained()
    assert torch.equal(weights(open_network(file)), first)
    assert "loaded" in trained(averages=0)[0]


def test_an_interrupted_run_that_goes_on_has_the_same_averages(
    host, graph, trained, averaged, monkeypatch, tmp_path
):
    from hypernet_pack import compat

    update = compat.Progress.update

    def stopping(self, done, preview=None):
        update(self, done, preview)
        if done == 3 and self._total == 6:
            request_interrupt()

    trained()
    whole = {
        file.name: file.read_bytes()
        for file, _ in snapshot_files(tmp_path / "output" / "hypernet" / "style")
    }
    (tmp_path / "output" / "hypernet" / "style").rename(tmp_path / "whole")
    (tmp_path / "models" / "hypernetworks" / "style.pt").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(compat.Progress, "update", stopping)
        assert host[1](graph(**AVERAGED)).status == "interrupted"
    result = averaged()
    assert 'The run "style" has chosen no width' in str(result.error)
    assert averaged(width=0.1).status == "success"
    _, run = trained()
    assert {file.name: file.read_bytes() for file, _ in snapshot_files(run)} == whole
    assert chosen(run) == chosen(tmp_path / "whole")


@pytest.mark.parametrize("probe_every", [0, 2])
def test_without_a_probe_or_averages_there_is_no_choice(trained, averaged, probe_every):
    said, run = trained(averages=0 if probe_every else 3, probe_every=probe_every)
    assert "averages" not in json.loads((run / "manifest.json").read_text())
    assert "width of the average" not in said
    fault = str([averaged().error, averaged().node_errors])
    if probe_every:
        assert 'The run "style" has no snapshots of averages' in fault and "such as 8" in fault
    else:
        assert 'The run "style" has chosen no width' in fault


def test_faults_quote_what_was_given(trained, averaged):
    trained()
    for inputs, words in (
        (dict(run="styl"), ['There is no run "styl"', "Nearest: style."]),
        (dict(width=0.5), ["0.5"]),
        (dict(name="a/../b"), ['"a/../b"']),
        (dict(run="../style"), ['"../style"']),
    ):
        found = str(averaged(**inputs).node_errors).replace("\\'", "'")
        assert all(word in found for word in words), found


def test_the_command_line_makes_averages_too(host, trained, tmp_path, capsys, monkeypatch):
    _, run = trained()
    monkeypatch.chdir(tmp_path)
    assert main(["average", "style"]) == 0
    file = tmp_path / "models" / "hypernetworks" / "style_average.pt"
    width = chosen(run)["width"]
    said = capsys.readouterr().out
    assert f"The average of width {width:g} after 6 updates, from 6 snapshots." in said
    assert "note        average of style, relative width" in said
    expected = rebuild(snapshots_in(run), width).network
    assert torch.equal(weights(open_network(file)), weights(expected))
    assert main(["average", str(run), "--width", "0.1", "--to", "long.safetensors"]) == 0
    assert open_network(tmp_path / "long.safetensors").record.name == "long"
    assert main(["average", "style"]) == 2 and "style_average.pt" in capsys.readouterr().err
    assert main(["average", "inkk"]) == 2
    assert 'There is no run "inkk"' in capsys.readouterr().err
    assert main(["average", "style", "--width", "0.4", "--to", "x.pt"]) == 2
    assert "width 0.4: give more than 0, and at most 0.28." in capsys.readouterr().err
