"""Holds everything that training changes, so that it can be saved and restored as one.

    network     the weights that the optimizer moves
    optimizer   its moments
    average     the exponential moving average of the weights, if one is kept
    powers      the averages from which others are rebuilt afterwards, if they are kept
    scaler      scales the loss for UNets in float16, whose gradients would underflow
    health      what is known from the losses so far

`result` is the network to use and to save: the average if there is one. Network and average share
a record, which counts the updates. The last good state, for going back after a blow-up, is kept in
RAM. A saved state contains it too if it differs, so that a resumed run goes back exactly as an
unbroken one would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from ..network.hypernetwork import Hypernetwork, load_weights
from ..network.power_averages import PowerAverages
from .health import Health
from .optimizers import build_optimizer
from .settings import TrainSettings

# Settings that change how large the loss is. When one changes, old losses say nothing about
# whether a new one is a blow-up.
DECIDE_LOSSES = (
    "loss", "huber_delta", "min_snr_gamma", "noise_offset", "timesteps", "min_timestep",
    "max_timestep",
)  # fmt: skip


class Learner:
    """A network in training. It must be on the device where it will train.

    Raises ModuleNotFoundError when the optimizer's package is not installed.
    """

    def __init__(self, network: Hypernetwork, settings: TrainSettings):
        self.network = network
        self.settings = settings
        self.optimizer = self._new_optimizer()
        self.average = self._new_average()
        self.powers: PowerAverages | None = None  # begin at the first update
        self.scaler = self._new_scaler()
        self.health = Health()
        self.checkpoints = settings.checkpointing == "on"  # "auto" may turn it on later
        self.notes: list[str] = []  # for the next Step
        self._good: dict[str, Any] | None = None

    @property
    def done(self) -> int:
        """The updates done since the network's very beginning."""
        return self.network.record.step

    @property
    def result(self) -> Hypernetwork:
        return self.network if self.average is None else self.average

    @property
    def networks(self) -> list[Hypernetwork]:
        """The network and all averages that are kept of it."""
        averages = [] if self.average is None else [self.average]
        powers = [] if self.powers is None else list(self.powers.networks.values())
        return [self.network, *averages, *powers]

    def _new_optimizer(self) -> torch.optim.Optimizer:
        settings = self.settings
        return build_optimizer(settings.optimizer, self.network.parameters(), settings.weight_decay)

    def _new_scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.network.device.type)

    def _new_average(self) -> Hypernetwork | None:
        if not self.settings.ema:
            return None
        average = self.network.copy().to(self.network.device).requires_grad_(False)
        average.record = self.network.record
        return average

    def take_notes(self) -> tuple[str, ...]:
        notes = tuple(self.notes)
        self.notes.clear()
        return notes

    def count_update(self) -> None:
        """Count an update that the optimizer has just done, and move the averages."""
        if self.settings.averages and self.powers is None:
            self.powers = PowerAverages(self.network)
        self.network.record.step += 1
        if self.average is not None:
            weight = 1 - average_decay(self.settings.ema, self.done)
            with torch.no_grad():
                follow(self.average, self.network, weight)
        if self.powers is not None:
            self.powers.follow(self.network)

    # --- saved states ---

    def state_dict(self) -> dict[str, Any]:
        """Everything but the network's weights and its step, as plain types and tensors."""
        good = self._good if self._good is not None and self._good["step"] != self.done else None
        return self._state() | {"good": good}

    def _state(self) -> dict[str, Any]:
        average = None if self.average is None else dict(self.average.state_dict())
        return {
            "optimizer_name": self.settings.optimizer,
            "optimizer": self.optimizer.state_dict(),
            "average": average,
            "powers": None if self.powers is None else self.powers.state_dict(),
            "scaler": self.scaler.state_dict(),
            "health": asdict(self.health),
            "learning_rate": self.settings.learning_rate,
            "decide_losses": self._decide_losses(),
        }

    def _decide_losses(self) -> dict[str, Any]:
        return {name: getattr(self.settings, name) for name in DECIDE_LOSSES}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state. The network's weights and record.step must be restored already.

        Changed settings apply: a new optimizer starts afresh, a new learning rate is not halved,
        losses of a new kind are counted from zero, and newly wanted averages begin here.
        """
        self._load(state)
        self._good = kept(state["good"]) if state.get("good") else None

    def _load(self, state: Mapping[str, Any]) -> None:
        if state["optimizer_name"] == self.settings.optimizer:
            saved = with_kernels_of(self.optimizer, kept(state["optimizer"]))
            self.optimizer.load_state_dict(saved)
            for group in self.optimizer.param_groups:
                group["weight_decay"] = self.settings.weight_decay
        else:
            self.optimizer = self._new_optimizer()
            self.notes.append(
                f"The optimizer was {state['optimizer_name']} and is now "
                f"{self.settings.optimizer}, which starts afresh."
            )
        self.average = self._new_average()
        if self.average is not None and state["average"] is not None:
            load_weights(self.average, state["average"])
        self.powers = None
        if self.settings.averages and (powers := state.get("powers")):
            self.powers = PowerAverages(self.network)
            self.powers.load_state_dict(powers)
        self.scaler = self._new_scaler()  # an old one may have seen half an update
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(dict(state["scaler"]))
        self.health = Health(**{**state["health"], "said": tuple(state["health"]["said"])})
        if state["learning_rate"] != self.settings.learning_rate:
            self.health = replace(self.health, halvings=0, steered=0)
        if state.get("decide_losses", self._decide_losses()) != self._decide_losses():
            self.health = replace(self.health, counted=0, total=0.0, reference=None)

    # --- the last good state ---

    @property
    def can_go_back(self) -> bool:
        return self._good is not None

    def keep_good(self) -> None:
        """Remember this state in RAM, to go back to after a blow-up."""
        weights = self.network.state_dict()
        self._good = kept(self._state() | {"step": self.done, "weights": weights})

    def go_back(self) -> int:
        """Go back to the last good state and halve the rate. Returns the state's step."""
        assert self._good is not None
        halvings = self.health.halvings + 1
        load_weights(self.network, self._good["weights"])
        self.network.record.step = self._good["step"]
        self._load(self._good)
        self.health = replace(self.health, halvings=halvings)
        return self.done


def with_kernels_of(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state of an optimizer that may have run on another device, which has other kernels."""
    for group, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        if "fused" in own:
            group["fused"] = own["fused"]
    return state


def average_decay(decay: float, done: int) -> float:
    """The decay of the average after `done` updates, at most `decay`.

    It is smaller at the beginning, so that the initial weights are soon forgotten: after n updates
    the average reaches back over about n / 10.
    """
    return min(decay, (1 + done) / (10 + done))


def follow(average: Hypernetwork, network: Hypernetwork, weight: float) -> None:
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, weight)


def kept(value: Any) -> Any:
    """A deep copy with all tensors in RAM."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: kept(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(kept(entry) for entry in value)
    return value
