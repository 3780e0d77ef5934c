"""Power averages: averages of a network in training whose width can be chosen afterwards.

After T updates, the weights that update t gave count in proportion to t^γ. The relative width of
such an average is the standard deviation of this profile ÷ T. Averages of two widths are kept while
training, and snapshots of both. An average of nearly any width is a combination of the snapshots:
the one whose profile is nearest in the least-squares sense.

    width      σ² = (γ + 1) / ((γ + 2)² (γ + 3))
    update     average ← β · average + (1 − β) · weights, with β = (1 − 1/t)^(γ + 1)

From Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models" (EDM2),
section 3 and appendix C. One thing differs: the factors are found under the condition that their
sum is 1. Otherwise what never moves, the largest part of a weight, would be missed by the most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from .hypernetwork import Hypernetwork, load_weights

WIDTHS = (0.05, 0.1)  # of the averages that are kept, as in EDM2
MOST_WIDTH = 0.28  # a little less than that of the mean of all updates


class Profile(NamedTuple):
    """How much the updates up to `end` count: t^exponent, scaled to 1 in all."""

    end: float
    exponent: float


class PowerAverages:
    """The averages of WIDTHS of a network in training, which has had `since` updates before."""

    def __init__(self, network: Hypernetwork):
        self.since = network.record.step
        self.networks: dict[float, Hypernetwork] = {}
        for width in WIDTHS:
            average = network.copy().to(network.device).requires_grad_(False)
            average.record = network.record
            self.networks[width] = average

    @torch.no_grad()
    def follow(self, network: Hypernetwork) -> None:
        """Move the averages after an update that is counted in the network's record."""
        done = network.record.step - self.since
        for width, average in self.networks.items():
            weight = 1 - power_decay(exponent_of(width), done)
            for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
                slow.lerp_(fast, weight)

    def state_dict(self) -> dict[str, Any]:
        weights = {width: dict(each.state_dict()) for width, each in self.networks.items()}
        return {"since": self.since, "weights": weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.since = state["since"]
        for width, weights in state["weights"].items():
            load_weights(self.networks[width], weights)


def exponent_of(width: float) -> float:
    """The γ of a relative width. Raises ValueError for widths that no average has."""
    if not 0 < width <= MOST_WIDTH:
        raise ValueError(f"width {width:g}: give more than 0, and at most {MOST_WIDTH:g}.")
    inverse = width**-2
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])
    return float(roots.real.max())


def width_of(exponent: float) -> float:
    return float(np.sqrt((exponent + 1) / (exponent + 2) ** 2 / (exponent + 3)))


def power_decay(exponent: float, done: int) -> float:
    """What an average keeps of itself at update `done`: 0 at the first."""
    return (1 - 1 / done) ** (exponent + 1)


def overlap(first: Profile, second: Profile) -> float:
    """The integral of the product of two profiles over the time."""
    shorter, longer = sorted((first, second), key=lambda profile: profile.end)
    a, b = shorter.exponent, longer.exponent
    return (a + 1) * (b + 1) / (a + b + 1) * (shorter.end / longer.end) ** b / longer.end


def combination(given: Sequence[Profile], goal: Profile) -> tuple[list[float], float]:
    """(a factor for each given profile, whose sum is 1; the misfit).

    The misfit is the norm of the difference between the combined profile and the goal ÷ that of the
    goal. All profiles differ.
    """
    count = len(given)
    # Lagrange's conditions: the last row and column hold the sum at 1
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = [[overlap(a, b) * goal.end for b in given] for a in given]
    system[count, :count] = system[:count, count] = 1
    wanted = np.array([overlap(each, goal) * goal.end for each in given])
    factors = np.linalg.lstsq(system, np.append(wanted, 1), rcond=None)[0][:count]
    size = overlap(goal, goal) * goal.end
    missed = factors @ system[:count, :count] @ factors - 2 * factors @ wanted + size
    return factors.tolist(), float(np.sqrt(max(missed, 0) / size))
