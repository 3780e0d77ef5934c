"""Apply Hypernet and Hypernets from Prompt do the same in both hosts."""

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

NAMES = ("ink", "chalk")


@pytest.fixture(scope="module", autouse=True)
def networks(host: Host) -> None:
    """Wide weights, so that both change a picture; "half" finds a place for its text alone."""
    for seed, (name, widths) in enumerate(
        [
            (NAMES[0], (host.text_width, host.self_widths[0])),
            (NAMES[1], (host.text_width, host.self_widths[0])),
            ("half", (host.text_width, 999)),
        ]
    ):
        spec = HypernetSpec(
            widths=widths,
            layer_structure=(1, 1),
            weight_initialization="XavierNormal",
            seed=seed,
        )
        network = Hypernetwork(spec, Record(name=name, step=1))
        save_network(network, host.network_folder / f"{name}.pt", overwrite=True)


def graph(host: Host, name: str = NAMES[0], **inputs) -> dict[str, dict]:
    inputs = {"strength": 1.0} | inputs
    return prompts.base(host.checkpoint) | {
        "network": node("HypernetLoad", name=f"{name}.pt"),
        "apply": node("HypernetApply", model=["loader", 0], hypernet=["network", 0], **inputs),
    }


def outcome_of(host: Host, prompt: dict, model=("apply", 0), **changes):
    prompt |= {
        "sampled": prompts.sampler(list(model), **({"steps": 2} | changes)),
        "shown": node("HypernetTestLatent", latent=["sampled", 0]),
    }
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error or outcome.node_errors
    return outcome


def latents(host: Host, prompt: dict, model=("apply", 0), **changes) -> torch.Tensor:
    return torch.tensor(json.loads(outcome_of(host, prompt, model, **changes).text("shown")))


@pytest.fixture(scope="module")
def plain(host: Host) -> torch.Tensor:
    return latents(host, prompts.base(host.checkpoint), ("loader", 0))


@pytest.fixture(scope="module")
def whole(host: Host) -> torch.Tensor:
    return latents(host, graph(host))


def alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-4, rtol=1e-4)


DEFAULTS = {
    "strength_k": 1.0,
    "strength_v": 1.0,
    "width_factors": "",
    "start_percent": -1.0,
    "end_percent": 1.0,
    "curve": "",
    "applies_to": "both",
    "precision": "exact",
}


def test_the_other_inputs_change_nothing_at_their_defaults(host: Host, plain, whole):
    assert not alike(plain, whole)
    assert alike(latents(host, graph(host, **DEFAULTS)), whole)


@pytest.mark.parametrize(
    "inputs",
    [
        {"strength_k": 0.0, "strength_v": 0.0},
        {"curve": "0: 0"},
        {"applies_to": "negative"},  # which guidance 1 leaves out
    ],
)
def test_what_leaves_nothing_to_act_gives_the_plain_picture(host: Host, inputs, plain):
    assert alike(latents(host, graph(host, **inputs)), plain)


@pytest.mark.parametrize(
    "inputs",
    [
        {"strength": 0.5, "strength_k": 2.0, "strength_v": 2.0},
        {"curve": "0.5: 1"},
        {"applies_to": "positive"},
        {"start_percent": 0.0},
    ],
)
def test_what_amounts_to_the_whole_network_gives_its_picture(host: Host, inputs, whole):
    assert alike(latents(host, graph(host, **inputs)), whole)


def test_keys_values_widths_and_moments_can_be_chosen(host: Host, plain, whole):
    parts = [
        {"strength_k": 0.0},
        {"strength_v": 0.0},
        {"width_factors": f"{host.text_width}: 0"},
        {"start_percent": 0.5},
        {"end_percent": 0.5},
    ]
    found = [plain, whole, *(latents(host, graph(host, **part)) for part in parts)]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert not alike(one, other), i


def test_a_float32_model_has_the_same_picture_in_either_precision(host: Host, whole):
    found = latents(host, graph(host, precision="as the model"))
    assert alike(found, whole)


def test_with_guidance_either_half_can_be_left_alone(host: Host):
    found = [
        latents(host, graph(host, applies_to=which), cfg=4.0)
        for which in ("both", "positive", "negative")
    ]
    assert not any(alike(found[i], found[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_network_that_fits_in_part_says_so_on_the_node(host: Host):
    text = outcome_of(host, graph(host, "half")).text("apply")
    for word in ("half", "999", str(host.text_width), f"Only {host.text_width} can act"):
        assert word in text


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"width_factors": "768"}, 'Factors "768"'),
        ({"curve": "0: 1, 2: 0"}, "must rise from 0 to 1"),
        ({"start_percent": 0.8, "end_percent": 0.2}, "start 0.8 is not before end 0.2"),
        ({"start_percent": -0.5}, "start_percent -0.5: give 0 to 1, or -1"),
    ],
)
def test_wrong_texts_are_refused_before_anything_runs(host: Host, inputs, words):
    prompt = graph(host, **inputs)
    prompt["sampled"] = prompts.sampler(["apply", 0])
    prompt["shown"] = node("HypernetTestLatent", latent=["sampled", 0])
    outcome = host.run(prompt)
    assert outcome.status == "invalid"
    assert words in outcome.node_errors["apply"]["errors"][0]["details"]


def test_a_factor_for_a_width_that_the_network_lacks_is_refused(host: Host):
    prompt = graph(host, width_factors="998: 1")
    prompt["sampled"] = prompts.sampler(["apply", 0])
    prompt["shown"] = node("HypernetTestLatent", latent=["sampled", 0])
    outcome = host.run(prompt)
    assert outcome.status == "error"
    assert "no width 998" in outcome.message


TAGS = ("tags", 0)


def prompt_graph(host: Host, text: str) -> dict[str, dict]:
    prompt = prompts.base(host.checkpoint)
    prompt["tags"] = node("HypernetPrompt", model=["loader", 0], prompt=text)
    prompt["positive"]["inputs"]["text"] = ["tags", 1]
    return prompt


def test_tags_in_a_prompt_apply_in_order_and_the_clean_prompt_goes_on(host: Host):
    tagged = prompt_graph(host, "a<hypernet:ink:0.8> cat<hypernet:chalk>")
    chained = graph(host, strength=0.8)
    chained["second"] = node("HypernetLoad", name="chalk.pt")
    chained["applied"] = node(
        "HypernetApply", model=["apply", 0], hypernet=["second", 0], strength=1.0
    )
    expected = latents(host, chained, ("applied", 0))
    assert alike(latents(host, tagged, TAGS), expected)


def test_a_tag_may_name_a_tree_whose_networks_lie_elsewhere(host: Host):
    tree = host.network_folder / "trees" / "both.hns"
    tree.parent.mkdir(exist_ok=True)
    tree.write_text('[("ink", 0.8), "chalk"]', "utf-8")
    by_tags = latents(host, prompt_graph(host, "a<hypernet:ink:0.8> cat<hypernet:chalk>"), TAGS)
    assert alike(latents(host, prompt_graph(host, "a cat<hypernet:both>"), TAGS), by_tags)


def test_a_prompt_without_tags_leaves_the_model_alone(host: Host, plain):
    assert alike(latents(host, prompt_graph(host, "a cat"), TAGS), plain)


def test_an_unknown_name_in_a_prompt_is_refused_with_the_nearest(host: Host):
    prompt = prompt_graph(host, "a cat<hypernet:inc:1>")
    prompt["sampled"] = prompts.sampler(["tags", 0])
    prompt["shown"] = node("HypernetTestLatent", latent=["sampled", 0])
    outcome = host.run(prompt)
    assert outcome.status == "invalid"
    details = outcome.node_errors["tags"]["errors"][0]["details"]
    assert 'no hypernetwork "inc"' in details and "ink" in details
