"""All that a training run changes, as one thing to save and to go back to.

    network     the weights that the optimizer moves
    optimizer   its moments
    average     the exponential moving average of the weights, if one is kept
    scaler      of the loss, for UNets in float16, whose gradients would vanish
    health      what the losses said so far

`result` is the network to use and to save: the average where there is one. Its updates are counted
in the record, which both share. The last good state lies beside them in RAM; saved states hold it
too where it is another one, so a resumed run goes back to where the unbroken one would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from ..network.hypernetwork import Hypernetwork, load_weights
from .health import Health
from .optimizers import build_optimizer
from .settings import TrainSettings

# Settings that decide how large a loss is: those of other values are no measure for a blow-up.
DECIDE_LOSSES = (
    "loss", "huber_delta", "min_snr_gamma", "noise_offset", "timesteps", "min_timestep",
    "max_timestep",
)  # fmt: skip


class Learner:
    """One network in training. Raises ModuleNotFoundError when its optimizer is not installed.

    The network must be on the device where it will train.
    """

    def __init__(self, network: Hypernetwork, settings: TrainSettings):
        self.network = network
        self.settings = settings
        self.optimizer = self._new_optimizer()
        self.average = self._new_average()
        self.scaler = self._new_scaler()
        self.health = Health()
        self.checkpoints = settings.checkpointing == "on"  # "auto" may turn it on later
        self.notes: list[str] = []  # for the next Step
        self._good: dict[str, Any] | None = None

    @property
    def done(self) -> int:
        """Updates done since the very beginning."""
        return self.network.record.step

    @property
    def result(self) -> Hypernetwork:
        return self.network if self.average is None else self.average

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

    def count_update(self) -> None:
        """After an optimizer step: count it, and let the average follow."""
        self.network.record.step += 1
        if self.average is not None:
            weight = 1 - average_decay(self.settings.ema, self.done)
            with torch.no_grad():
                follow(self.average, self.network, weight)

    # --- saved states ---

    def state_dict(self) -> dict[str, Any]:
        """Everything but the network's own weights and its step: plain types and tensors."""
        good = self._good if self._good is not None and self._good["step"] != self.done else None
        return self._state() | {"good": good}

    def _state(self) -> dict[str, Any]:
        average = None if self.average is None else dict(self.average.state_dict())
        return {
            "optimizer_name": self.settings.optimizer,
            "optimizer": self.optimizer.state_dict(),
            "average": average,
            "scaler": self.scaler.state_dict(),
            "health": asdict(self.health),
            "learning_rate": self.settings.learning_rate,
            "decide_losses": self._decide_losses(),
        }

    def _decide_losses(self) -> dict[str, Any]:
        return {name: getattr(self.settings, name) for name in DECIDE_LOSSES}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; the network's weights and its record.step are loaded already.

        New settings win: another optimizer starts afresh, another learning rate counts whole
        again, losses of another kind are counted anew, and an average that was not kept begins
        here.
        """
        self._load(state)
        self._good = kept(state["good"]) if state.get("good") else None

    def _load(self, state: Mapping[str, Any]) -> None:
        if state["optimizer_name"] == self.settings.optimizer:
            self.optimizer.load_state_dict(kept(state["optimizer"]))
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
        self.scaler = self._new_scaler()  # an old one may have seen half an update
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(dict(state["scaler"]))
        self.health = Health(**{**state["health"], "said": tuple(state["health"]["said"])})
        if state["learning_rate"] != self.settings.learning_rate:
            self.health = replace(self.health, halvings=0)
        if state.get("decide_losses", self._decide_losses()) != self._decide_losses():
            self.health = replace(self.health, counted=0, total=0.0, reference=None)

    # --- the last good state ---

    @property
    def can_go_back(self) -> bool:
        return self._good is not None

    def keep_good(self) -> None:
        """Remember this state, in RAM, as the one to go back to."""
        weights = self.network.state_dict()
        self._good = kept(self._state() | {"step": self.done, "weights": weights})

    def go_back(self) -> int:
        """Return to the last good state at half the rate; the number of updates it has."""
        assert self._good is not None
        halvings = self.health.halvings + 1
        load_weights(self.network, self._good["weights"])
        self.network.record.step = self._good["step"]
        self._load(self._good)
        self.health = replace(self.health, halvings=halvings)
        return self.done


def average_decay(decay: float, done: int) -> float:
    """Less in the beginning, so that the first weights are soon forgotten: n updates are averaged
    over at most n / 10 of them."""
    return min(decay, (1 + done) / (10 + done))


def follow(average: Hypernetwork, network: Hypernetwork, weight: float) -> None:
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, weight)


def kept(value: Any) -> Any:
    """A copy that nothing else changes, its tensors in RAM."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: kept(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(kept(entry) for entry in value)
    return value
