"""One of two processes that train together, on a denoiser of two blocks, or alone for comparison.

python trained_together.py NUMBER COUNT FOLDER      writes FOLDER/<case>-NUMBER.pt
"""

from __future__ import annotations

import sys
import weakref
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from hypernet import HypernetSpec, Hypernetwork
from hypernet.training.diffusion import Batch, Denoiser, diffusion_levels
from hypernet.training.learner import Learner
from hypernet.training.parallel import ALONE, Processes, connected, present
from hypernet.training.probe import Probe
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

WIDTH = 8
SHARED = dict(steps=12, learning_rate="1e-2:6, 1e-3", batch_size=4)
CASES = {
    "plain": ({}, {}),
    "dropout": (
        dict(accumulation=2, ema=0.9, averages=2, gradient_clip="norm", probe_every=3),
        dict(dropout_structure=(0, 0.5, 0)),
    ),
    "weighted": (
        dict(min_snr_gamma=5.0, noise_offset=0.1, loss="Huber", timesteps="logit-normal"),
        {},
    ),
    "rrelu": ({}, dict(activation="rrelu")),
    "float16": ({}, {}),
    "spoilt": (dict(steps=104), {}),
    "out of memory": ({}, {}),
}
FAULTS = {"spoilt": 103, "out of memory": 3}  # the call in which the second process meets it


def batch_at(first: int, number: int) -> Batch:
    chance = torch.Generator().manual_seed(first)
    latents = torch.randn(number, 4, 2, 2, generator=chance)
    text = torch.randn(number, 5, WIDTH, generator=chance)
    return Batch(latents, {"context": text}, torch.rand(number, 1, 2, 2, generator=chance))


def denoiser_of(case: str, faulty: int, dtype: torch.dtype) -> Denoiser:
    """faulty: the call, counted from 1, in which the case's fault is met; 0 for none.

    The gradients of the values' MLP are there before the backward pass comes to that of the keys.
    """
    weights = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
    calls = []

    def predict(noisy, timesteps, condition, acting):
        calls.append(timesteps)
        context = condition["context"]
        _, first, _ = acting.attn2(context[:, :1], context, context, {})
        _, _, second = acting.attn2(context[:, :1], context, context, {})
        answer = (first + second).mean(1) @ weights.T
        if len(calls) == faulty and case == "spoilt":
            answer = answer * float("nan")
        if len(calls) == faulty and case == "out of memory":
            first.register_hook(run_out_of_memory)
        return noisy.float() + answer.to(dtype).float()[:, :, None, None]

    return Denoiser(
        predict=predict,
        levels=diffusion_levels(torch.linspace(0.99, 0.01, 1000)),
        prediction="eps",
        device=torch.device("cpu"),
        dtype=dtype,
        checkpointed=nullcontext,
    )


def run_out_of_memory(gradient: torch.Tensor) -> None:
    raise torch.OutOfMemoryError("none left")


def trained(case: str, processes: Processes) -> dict:
    """What is left after the training: weights, and what the steps said."""
    settings, spec = CASES[case]
    settings = TrainSettings(**SHARED | settings)
    network = Hypernetwork(HypernetSpec(widths=(WIDTH,), **{"activation": "mish"} | spec))
    learner = Learner(network, settings)
    dtype = torch.float16 if case == "float16" else torch.float32
    if case == "float16":
        learner.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
    faulty = FAULTS.get(case, 0) if processes.number == 1 else 0
    probe = Probe([batch_at(900, 2)]) if settings.accumulation > 1 else None
    denoiser = denoiser_of(case, faulty, dtype)
    steps = list(train(learner, denoiser, batch_at, probe, processes))
    return {
        "network": dict(learner.network.state_dict()),
        "result": dict(learner.result.state_dict()),
        "powers": {
            f"{width} {name}": weight
            for width, average in (learner.powers.networks if learner.powers else {}).items()
            for name, weight in average.state_dict().items()
        },
        "losses": [step.loss for step in steps],
        "gradients": [step.gradient for step in steps],
        "went_back": [step.went_back_to for step in steps],
        "notes": [note for step in steps for note in step.notes],
        "scale": learner.scaler.get_scale(),
    }


def sent_ahead(processes: Processes) -> list[bool]:
    """Of each of three updates: was something sent before the backward pass was at its end?"""
    learner = Learner(Hypernetwork(HypernetSpec(widths=(WIDTH,))), TrainSettings(**SHARED))
    steps = train(learner, denoiser_of("plain", 0, torch.float32), batch_at, None, processes)
    found = []
    for _ in range(3):
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            next(steps)
        events = [(event.time_range.start, event.name) for event in profiled.events()]
        sent = min(at for at, name in events if name == "c10d::allreduce_")
        found.append(sent < max(at for at, name in events if name == "AddmmBackward0"))
    return found


def exchange(processes: Processes, folder: Path) -> None:
    """Train all cases, ask all questions; what came of it lies in the folder."""
    number = processes.number
    for case in CASES:
        torch.manual_seed(number)  # the global state must not matter
        torch.save(trained(case, processes), folder / f"{case}-{number}.pt")
    asked = [processes.any(number == 1), processes.any(False)]
    asked += [processes.agree("all"), processes.agree(number), processes.told(number)]
    torch.save(asked, folder / f"asked-{number}.pt")
    torch.save(sent_ahead(processes), folder / f"ahead-{number}.pt")


def main() -> None:
    number, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    assert present() == ALONE
    meeting = dict(init_method=f"file://{folder / 'store'}", rank=number, world_size=count)
    with connected("gloo", **meeting) as processes:
        assert present() == processes == Processes(number, count)
        group = weakref.ref(torch.distributed.group.WORLD)
        exchange(processes, folder)
    assert present() == ALONE
    assert group() is None, "its threads may outlive the interpreter, which aborts the process"


if __name__ == "__main__":
    main()
