"""What a host gives to an attention patch, and what it does with the answer."""

from __future__ import annotations

import json

import prompts
import pytest
from hosts import Host
from prompts import node

STEPS = 2


def sample(host: Host, keys: float = 1.0, values: float = 1.0, **changes) -> dict[str, list]:
    """The calls that a watching patch has seen, and the latents that came out."""
    prompt = prompts.base(host.checkpoint) | {
        "watch": node("HypernetTestWatch", model=["loader", 0], keys=keys, values=values),
        "sample": prompts.sampler(["watch", 0], steps=STEPS, **changes),
        "record": node("HypernetTestRecord", record=["watch", 1], latent=["sample", 0]),
        "show": node("HypernetTestLatent", latent=["sample", 0]),
    }
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    return {name: json.loads(outcome.text(name)) for name in ("record", "show")}


@pytest.fixture(scope="module")
def guided(host: Host) -> list[dict]:
    calls = sample(host, cfg=4.0)["record"]
    assert calls
    return calls


def test_both_kinds_of_attention_are_seen_in_every_block_and_step(host: Host, guided: list[dict]):
    for kind in ("attn1", "attn2"):
        calls = [call for call in guided if call["kind"] == kind]
        assert len(calls) == host.blocks * STEPS
        places = {(*call["block"], call["block_index"]) for call in calls}
        assert len(places) == host.blocks
        assert {place[0] for place in places} == {"input", "middle", "output"}


def test_self_attention_gets_the_picture_and_cross_attention_the_text(
    host: Host, guided: list[dict]
):
    for call in guided:
        assert call["same"], "keys and values begin as the same tensor"
        if call["kind"] == "attn1":
            assert call["is_n"]
            assert call["context"] == call["n"]
            assert call["n"][-1] in host.self_widths
        else:
            assert call["context"][-1] == host.text_width
            assert call["context"][0] == call["n"][0]


def test_extra_options_tell_the_noise_level_and_which_half_is_the_prompt(guided: list[dict]):
    for call in guided:
        schedule = call["sample_sigmas"]
        assert len(schedule) == STEPS + 1
        assert schedule == sorted(schedule, reverse=True)
        assert schedule[-1] == 0
        assert len(call["sigmas"]) == 1, "one per picture, not per chunk"
        assert call["sigmas"][0] == pytest.approx(schedule[0]) or call["sigmas"][
            0
        ] == pytest.approx(schedule[1])
        assert sorted(call["cond_or_uncond"]) == [0, 1]
        assert call["n"][0] == len(call["cond_or_uncond"])


def test_nodes_run_in_inference_mode(guided: list[dict]):
    assert all(call["inference"] for call in guided)


def test_what_a_patch_answers_is_what_the_projections_get(host: Host):
    plain = sample(host)["show"]
    assert sample(host)["show"] == pytest.approx(plain, abs=1e-4)
    for change in ({"keys": 2.0}, {"values": 2.0}):
        changed = sample(host, **change)["show"]
        assert max(abs(a - b) for a, b in zip(plain, changed, strict=True)) > 1e-3, change


def test_a_patch_on_a_clone_leaves_the_model_alone(host: Host):
    prompt = prompts.base(host.checkpoint) | {
        "plain": prompts.sampler(["loader", 0]),
        "plain shown": node("HypernetTestLatent", latent=["plain", 0]),
        "watch": node("HypernetTestWatch", model=["loader", 0], keys=3.0, values=3.0),
        "patched": prompts.sampler(["watch", 0]),
        "patched shown": node("HypernetTestLatent", latent=["patched", 0]),
        "again": prompts.sampler(["loader", 0], steps=1, denoise=0.999999),
        "again shown": node("HypernetTestLatent", latent=["again", 0]),
    }
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    plain, patched, again = (
        json.loads(outcome.text(f"{name} shown")) for name in ("plain", "patched", "again")
    )
    assert again == pytest.approx(plain, abs=1e-3)
    assert max(abs(a - b) for a, b in zip(plain, patched, strict=True)) > 1e-3
