"""A folded network draws what the applied one draws, and so does its LoRA file."""

from __future__ import annotations

import json

import prompts
import pytest
import torch
from hosts import Host
from prompts import node

from hypernet.formats.networks import save_network
from hypernet.network.hypernetwork import Hypernetwork, Record
from hypernet.network.spec import HypernetSpec


def write_network(host: Host, name: str, seed: int, **settings) -> str:
    """A network for every width, wide awake: its residual is about a third of its input."""
    widths = (*host.self_widths, host.text_width)
    network = Hypernetwork(HypernetSpec(widths=widths, **settings), Record(name=name, step=1))
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            scale = 0.5 / weight.shape[-1] ** 0.5 if weight.ndim == 2 else 0.1
            weight.normal_(0, scale, generator=numbers)
    save_network(network, host.network_folder / f"{name}.pt", overwrite=True)
    return f"{name}.pt"


def prompt_of(host: Host, links: list[tuple[str, str, float]]) -> dict:
    """(node class, network, strength) one after the other between checkpoint and sampler."""
    prompt = prompts.base(host.checkpoint)
    model = ["loader", 0]
    for place, (kind, name, strength) in enumerate(links):
        prompt[f"network {place}"] = node("HypernetLoad", name=name)
        prompt[f"link {place}"] = node(
            kind, model=model, hypernet=[f"network {place}", 0], strength=strength
        )
        model = [f"link {place}", 0]
    prompt["sampled"] = prompts.sampler(model, cfg=2.0)
    prompt["shown"] = node("HypernetTestLatent", latent=["sampled", 0])
    return prompt


def latents(host: Host, prompt: dict) -> torch.Tensor:
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    return torch.tensor(json.loads(outcome.text("shown")))


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def plain(host: Host) -> torch.Tensor:
    return latents(host, prompt_of(host, []))


@pytest.mark.parametrize("structure", [(1, 1), (1, 2, 1), (1, 2, 2, 1)])
def test_a_folded_network_draws_what_the_applied_one_draws(
    host: Host, plain: torch.Tensor, structure: tuple
):
    name = write_network(host, "linear", seed=1, layer_structure=structure)
    applied = latents(host, prompt_of(host, [("HypernetApply", name, 0.8)]))
    folded = latents(host, prompt_of(host, [("HypernetFold", name, 0.8)]))
    print("effect", distance(plain, applied), "error", distance(folded, applied))
    assert distance(plain, applied) > 0.01
    assert distance(folded, applied) < 1e-5


def test_chains_act_in_their_order_applied_before_folded(host: Host):
    one, two = (write_network(host, f"link{seed}", seed=seed) for seed in (1, 2))
    expected = latents(
        host, prompt_of(host, [("HypernetApply", one, 1.0), ("HypernetApply", two, -1.0)])
    )
    for kinds in (("HypernetFold", "HypernetFold"), ("HypernetApply", "HypernetFold")):
        links = list(zip(kinds, (one, two), (1.0, -1.0), strict=True))
        assert distance(latents(host, prompt_of(host, links)), expected) < 1e-5, kinds
    wrong = [("HypernetFold", two, -1.0), ("HypernetFold", one, 1.0)]
    assert distance(latents(host, prompt_of(host, wrong)), expected) > 1e-4


def test_folding_leaves_the_model_alone(host: Host, plain: torch.Tensor):
    name = write_network(host, "bystander", seed=3)
    prompt = prompt_of(host, [("HypernetFold", name, 1.0)])
    prompt["again"] = prompts.sampler(["loader", 0], cfg=2.0, denoise=0.999999)
    prompt["again shown"] = node("HypernetTestLatent", latent=["again", 0])
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    again = torch.tensor(json.loads(outcome.text("again shown")))
    assert distance(again, plain) < 1e-5


def test_strength_zero_folds_nothing(host: Host, plain: torch.Tensor):
    name = write_network(host, "zero", seed=4)
    assert torch.equal(latents(host, prompt_of(host, [("HypernetFold", name, 0.0)])), plain)


@pytest.mark.parametrize("kind", ["HypernetFold", "HypernetToLora"])
def test_a_network_that_is_not_linear_is_refused_with_the_reason(host: Host, kind: str):
    name = write_network(host, "bent", seed=5, activation="relu")
    prompt = prompt_of(host, [(kind, name, 1.0)])
    if kind == "HypernetToLora":
        prompt["link 0"]["inputs"] |= {"name": "bent", "rank": 0, "numbers": "float16"}
        del prompt["sampled"], prompt["shown"]
    outcome = host.run(prompt)
    assert outcome.status == "error"
    assert '"bent" cannot be folded' in outcome.message
    assert "ReLU" in outcome.message


@pytest.mark.parametrize(("rank", "numbers"), [(0, "float32"), (0, "float16"), (8, "float16")])
def test_the_hosts_own_loader_reads_the_lora(host: Host, plain, rank: int, numbers: str):
    name = write_network(host, "exported", seed=6)
    lora = f"exported {rank} {numbers}"
    prompt = prompt_of(host, []) | {
        "network": node("HypernetLoad", name=name),
        "write": node(
            "HypernetToLora", model=["loader", 0], hypernet=["network", 0], name=lora,
            strength=0.5, rank=rank, numbers=numbers,
        ),
    }  # fmt: skip
    outcome = host.run({key: prompt[key] for key in ("loader", "network", "write")})
    assert outcome.status == "success", outcome.error
    assert (host.base / "models" / "loras" / f"{lora}.safetensors").is_file()
    assert "relative error" in outcome.text("write")
    if "LoraLoaderModelOnly" not in host.object_info():
        pytest.skip("this host has no LoRA loader")
    prompt["lora"] = node(
        "LoraLoaderModelOnly",
        model=["loader", 0], lora_name=f"{lora}.safetensors", strength_model=1.0,
    )  # fmt: skip
    prompt["sampled"]["inputs"]["model"] = ["lora", 0]
    del prompt["network"], prompt["write"]
    found = latents(host, prompt)
    applied = latents(host, prompt_of(host, [("HypernetApply", name, 0.5)]))
    print("effect", distance(plain, applied), "error", distance(found, applied))
    assert distance(found, applied) < (1e-3 if rank == 0 else distance(plain, applied))


def test_an_existing_lora_is_never_overwritten(host: Host):
    name = write_network(host, "kept", seed=7)
    inputs = {"name": "kept", "strength": 1.0, "rank": 0, "numbers": "float16"}
    prompt = {
        "loader": node("CheckpointLoaderSimple", ckpt_name=host.checkpoint),
        "network": node("HypernetLoad", name=name),
        "write": node("HypernetToLora", model=["loader", 0], hypernet=["network", 0], **inputs),
    }
    assert host.run(prompt).status == "success"
    prompt["write"]["inputs"]["strength"] = 2.0
    outcome = host.run(prompt)
    assert outcome.status == "error"
    assert "kept.safetensors" in outcome.message
