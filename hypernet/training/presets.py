"""The presets: how settings are chosen that nobody has typed.

Open settings are steps 0, batch_size 0, the learning_rate "auto", noise_offset −1, preserve −1 and,
of the network's shape, the weight_initialization "auto". A preset fills them; whatever is typed
stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..network.vocabulary import NORMAL, ZERO_OUTPUT

AUTO = "auto"
OPEN_STEPS = 0
OPEN_BATCH = 0
OPEN = -1.0  # a noise_offset or a preserve

PRESERVE = 1.0


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The settings of a preset. None: follows from model, picture size and steps (auto.py)."""

    steps: int
    learning_rate: str | None
    noise_offset: float | None
    preserve: float
    weight_initialization: str
    about: str

    @property
    def is_ours(self) -> bool:
        """Is it chosen by formulas, not by what people reported?"""
        return self.learning_rate is None


PRESETS = {
    AUTO: Preset(
        steps=2000, learning_rate=None, noise_offset=None, preserve=PRESERVE,
        weight_initialization=ZERO_OUTPUT,
        about="chosen for your model and steps",
    ),
    "A1111": Preset(
        steps=2000, learning_rate="5e-5:100, 5e-6:1500, 1e-6", noise_offset=0.0,
        preserve=0.0, weight_initialization=NORMAL,
        about="high first, then low, as in A1111's issue 4965",
    ),
    "guide": Preset(
        steps=10_000, learning_rate="5e-6", noise_offset=0.0, preserve=0.0,
        weight_initialization=NORMAL,
        about="StableDiffusionBook's guide, 5e-6 for 10,000 to 20,000 steps",
    ),
    "quick look": Preset(
        steps=400, learning_rate=None, noise_offset=None, preserve=PRESERVE,
        weight_initialization=ZERO_OUTPUT,
        about="auto in few steps, to see whether it goes anywhere",
    ),
}  # fmt: skip
