"""`.optim` files: the optimizer's state beside a network, used only with the file it belongs to."""

import hashlib

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, open_network, save_network
from hypernet.formats.optim_file import open_optimizer, save_optimizer, short_hash


def trained(order=(8, 16)):
    network = Hypernetwork(HypernetSpec(widths=(8, 16), activation="prelu"))
    parameters = [p for w in order for p in network.pairs[str(w)].parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    for number, parameter in enumerate(parameters):
        generator = torch.Generator().manual_seed(number)
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
    return network, optimizer


def test_a_state_comes_back_with_its_network(tmp_path):
    network, optimizer = trained()
    path = save_network(network, tmp_path / "a.pt")
    written = save_optimizer(path, "AdamW", optimizer.state_dict())
    assert written.name == "a.pt.optim"
    content = torch.load(written, weights_only=True)
    assert set(content) == {"optimizer_name", "hash", "optimizer_state_dict"}
    assert content["hash"] == hashlib.sha256(path.read_bytes()).hexdigest()[:10] == short_hash(path)
    again = open_network(path)
    name, state = open_optimizer(path, again)
    assert name == "AdamW"
    twin = torch.optim.AdamW(again.parameters())
    twin.load_state_dict(state)
    for mine, other in zip(network.parameters(), again.parameters(), strict=True):
        assert optimizer.state[mine]
        for key, value in optimizer.state[mine].items():
            assert torch.equal(value, twin.state[other][key])


def test_a1111_counts_the_parameters_in_the_order_of_its_widths(tmp_path):
    network, optimizer = trained(order=(16, 8))  # as A1111, which puts 768 before 320
    path = save_network(network, tmp_path / "ours.pt")
    payload = torch.load(path, weights_only=True)
    settings = {key: value for key, value in payload.items() if isinstance(key, str)}
    torch.save({16: payload[16], 8: payload[8], **settings}, tmp_path / "a.pt")
    path = tmp_path / "a.pt"
    save_optimizer(path, "AdamW", optimizer.state_dict())
    again = open_network(path)
    _, state = open_optimizer(path, again)
    for number, mine in enumerate(network.parameters()):
        assert torch.equal(state["state"][number]["exp_avg"], optimizer.state[mine]["exp_avg"])


def test_the_state_of_another_network_is_ignored(tmp_path):
    network, optimizer = trained()
    path = save_network(network, tmp_path / "a.pt")
    assert open_optimizer(path, network) is None
    save_optimizer(path, "AdamW", optimizer.state_dict())
    network.record.step = 1
    save_network(network, path, overwrite=True)
    assert open_optimizer(path, network) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["state"][0].update(exp_avg=torch.zeros(2, 2)), "has shape [2, 2], not"),
        (lambda s: s["state"][0]["exp_avg"].fill_(float("nan")), "NaN"),
        (lambda s: s["param_groups"][0]["params"].pop(), "is of 19 parameters, not 20"),
        (lambda s: s["param_groups"].append(3), "is of 0 parameters"),
        (lambda s: s["state"].update({99: {}}), "speaks of a parameter 99"),
        (lambda s: s.pop("state"), "not what a torch optimizer saves"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(tmp_path, change, words):
    network, optimizer = trained()
    path = save_network(network, tmp_path / "a.pt")
    state = optimizer.state_dict()
    change(state)
    save_optimizer(path, "AdamW", state)
    with pytest.raises(ValueError) as fault:
        open_optimizer(path, network)
    assert words in str(fault.value) and "a.pt.optim" in str(fault.value)
