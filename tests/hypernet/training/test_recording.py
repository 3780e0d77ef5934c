"""Passes that are recorded once and replayed learn what computed ones learn, to the last bit.

On the CPU a recorded pass is computed again from the tensors that it was recorded with, so what is
shown here is all but the graph itself, which tests/gpu shows.
"""

import re
from contextlib import nullcontext

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.seeding import sample_order
from hypernet.training import recording
from hypernet.training.diffusion import TOKENS, Batch, Denoiser, diffusion_levels
from hypernet.training.learner import Learner
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

WIDTH = 8
OTHERS = {"context": torch.randn(6, 5, WIDTH, generator=torch.Generator().manual_seed(1))}
SHAPES = [(2, 2), (2, 4), (4, 2)]


class Model:
    """A denoiser whose answer depends on all that it is given. Counts its calls in Python."""

    def __init__(self, **given):
        self.calls, self.place, self.fault = 0, 0, None
        self.weight = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
        self.denoiser = Denoiser(
            predict=self.predict, prediction="eps",
            levels=diffusion_levels(torch.linspace(0.99, 0.01, 1000)),
            device=torch.device("cpu"), addresses=lambda: self.place,
            **{"dtype": torch.float32} | given,
        )  # fmt: skip

    def predict(self, noisy, timesteps, condition, acting):
        self.calls += 1
        text = keys = values = condition["context"]
        if acting is not None:
            _, keys, values = acting.attn2(text[:, :1], text, text, {})
        told = (keys.sin() + values).mean(1) @ self.weight.T
        told = told * (1 + timesteps[:, None] / 1000)
        if self.fault is not None:
            told = self.fault(self.calls, told)
        return noisy.float().cos() + told[:, :, None, None]


def batch_at(shape=(2, 2), weights=False):
    def batch(first, number):
        at = SHAPES[first // number % 3] if shape is None else shape
        latents, texts = [], []
        for place in sample_order(0, 16, first, number):
            chance = torch.Generator().manual_seed(place)
            latents.append(torch.randn(4, *at, generator=chance))
            texts.append(torch.randn(5, WIDTH, generator=chance))
        found = Batch(torch.stack(latents), {"context": torch.stack(texts)})
        return found._replace(weights=torch.rand(number, 1, *at)) if weights else found

    return batch


def learnt(cuda_graphs, model=None, pictures=None, spec=None, beside=None, **given):
    settings = dict(steps=12, learning_rate="1e-2", batch_size=2, probe_every=0) | given
    network = Hypernetwork(HypernetSpec(widths=(WIDTH,), activation="mish", **spec or {}))
    learner = Learner(network, TrainSettings(**settings, cuda_graphs=cuda_graphs))
    model = model or Model()
    steps = list(train(learner, model.denoiser, pictures or batch_at(), **beside or {}))
    weights = torch.cat([each.detach().flatten() for each in network.parameters()])
    return [(step.done, step.loss, step.gradient) for step in steps], weights, steps, model


def same(**given):
    """The steps of a recorded training, which are those of a computed one."""
    (expected, weights, *_), (found, others, steps, model) = (
        learnt(False, **given),
        learnt(True, **given),
    )
    assert found == expected and others.equal(weights)
    return steps, model


def notes(steps):
    return [note for step in steps for note in step.notes]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"min_snr_gamma": 5.0, "loss": "Huber", "noise_offset": 0.1},
        {"accumulation": 3},
        {"strength_curve": "0: 0.2, 1: 1"},
        {"gradient_clip": "norm", "ema": 0.9},
        {"weight_decay": 0.5, "optimizer": "Adafactor"},
    ],
    ids=str,
)
def test_recorded_updates_are_the_computed_ones(given):
    steps, _ = same(**given)
    assert notes(steps) == ["cuda_graphs changes nothing on this device (cpu)."]


def test_pictures_of_several_sizes_have_a_recording_each():
    same(pictures=batch_at(None), steps=30)


def test_other_prompts_and_regularization_are_recorded_too():
    same(
        beside={"others": OTHERS, "regularization": batch_at((4, 4))},
        preserve=1.0, preserve_every=2, steps=30,
    )  # fmt: skip


@pytest.fixture
def played(monkeypatch):
    """How often each recording was played."""
    counts = []
    real = recording.playable

    def playable(run, device, pool):
        run, place = real(run, device, pool), len(counts)
        counts.append(0)

        def play():
            counts[place] += 1
            run()

        return play

    monkeypatch.setattr(recording, "playable", playable)
    return counts


def test_a_pass_is_recorded_after_a_few_and_played_from_then_on(played):
    same(steps=12)
    assert played == [12 - recording.COMPUTED]


def test_prompts_of_other_lengths_have_a_recording_each(played):
    """A model computes them one after the other, each in its own length."""

    def pictures(first, number):
        found = batch_at()(first, number)
        lengths = torch.tensor([5, 3 + first // number % 2])
        return found._replace(condition={**found.condition, "context" + TOKENS: lengths})

    same(pictures=pictures, steps=20)
    assert played == [10 - recording.COMPUTED] * 2


def test_when_the_model_moves_all_is_recorded_anew(played):
    model = Model()

    def moving(calls, told):
        model.place = int(calls > 12)
        return told

    model.fault = moving
    learnt(True, model, steps=24)
    assert len(played) == 2 and min(played) > 1


def spoilt_when_replayed(calls, told):
    """The one call more is that of the recording, as wrong as a graph with stale tensors."""
    return told * 3 if calls > recording.COMPUTED + 1 else told


def raising(calls, told):
    if calls == recording.COMPUTED + 2:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")
    return told


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (raising, r"recording one failed \(operation not permitted when stream is capturing\)"),
        (spoilt_when_replayed, "a recorded one gave another loss"),
    ],
)
def test_a_recording_that_fails_or_differs_is_not_used_and_a_sentence_says_so(fault, words):
    model = Model()
    model.fault = fault
    calm = Model()
    found, _, steps, _ = learnt(True, model, steps=recording.COMPUTED + 1)
    expected, *_ = learnt(False, calm, steps=recording.COMPUTED + 1)
    assert found == expected, "the update in which it failed counts, with its own gradients"
    assert any(re.search(words, note) for note in notes(steps)), notes(steps)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"spec": {"layer_structure": (1, 2, 1), "dropout_structure": (0, 0.5, 0)}}, "dropout"),
        ({"model": lambda: Model(recomputes=True)}, "computed twice"),
    ],
)
def test_what_cannot_be_recorded_is_computed_as_ever_and_said_once(given, words):
    made = given.pop("model", Model)
    expected, weights, *_ = learnt(False, made(), **given)
    found, others, steps, _ = learnt(True, made(), **given)
    assert found == expected and weights.equal(others)
    assert sum(words in note for note in notes(steps)) == 1


def test_after_a_blow_up_it_goes_back_and_on_as_a_computed_training_does():
    def spoilt_once():
        left = [1]

        def batch(first, number):
            found = batch_at()(first, number)
            if first == 14 and left:
                found.latents[0] = left.pop() * torch.nan
            return found

        return batch

    expected, weights, steps, _ = learnt(False, pictures=spoilt_once())
    found, others, _, _ = learnt(True, pictures=spoilt_once())
    assert [step.went_back_to for step in steps].count(0) == 1
    assert found == expected and weights.equal(others)


def test_memory_that_runs_out_turns_checkpointing_on_and_recording_off():
    model = Model(checkpointed=nullcontext)

    def full(calls, told):
        if calls == 2:
            raise torch.OutOfMemoryError("out of memory")
        return told

    model.fault = full
    _, _, steps, _ = learnt(True, model)
    said = " ".join(notes(steps))
    assert "Memory ran out" in said and "computed twice" in said and len(steps) == 12
