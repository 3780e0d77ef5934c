"""The training settings, each with its default, its range and its tooltip.

The defaults are A1111's: AdamW, mean squared error, uniform timesteps, no clipping. The node makes
its widgets from the fields of auto.AutoSettings, which inherits from here and leaves some of them
open, so a new setting needs no other edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import torch

from ..apply.effect import parse_strength_curve
from ..network.vocabulary import nearest
from .diffusion import LATENT_SAMPLING, LOSSES, TIMESTEPS
from .memory_saving import ALL
from .optimizers import OPTIMIZERS, optimizer_fault
from .schedule import LIMIT, RATE, Schedule, is_over_by, parse_schedule

CLIPS = ("off", "value", "norm")
CHECKPOINTING = ("auto", "on", "off")
OWN = "its own"
DTYPES = (OWN, "float16", "bfloat16", "float32", "int8")
MOST_STEPS = 10_000_000
LEAST_PRODIGY = 0.01

# Settings that do not change what is learnt, only what is saved and measured on the way and how
# the same numbers are computed. Runs that differ in nothing else give the same network.
BESIDE_LEARNING = (
    "save_every", "save_optimizer", "probe_every", "averages", "checkpointing", "offload",
    "compile", "cuda_graphs", "blocks_to_swap",
)  # fmt: skip


def setting(
    default: Any,
    about: str,
    low: float | None = None,
    high: float | None = None,
    options: Sequence[str] = (),
    step: float | None = None,
    rare: bool = True,
    lines: bool = False,
) -> Any:
    """A field with all that a widget needs. high is inclusive. rare: few people will change it.
    lines: a text may have several."""
    return field(
        default=default,
        metadata={
            "about": about, "low": low, "high": high, "options": tuple(options), "step": step,
            "rare": rare, "lines": lines,
        },
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """All settings of a training. The node shows them as widgets, and the run saves them.

    Raises ValueError with all faults in one message.
    """

    steps: int = setting(
        2000, "Updates in all; an interrupted run counts on.", 1, MOST_STEPS, rare=False
    )
    learning_rate: str = setting(
        "5e-5:100, 5e-6:1500, 1e-6",
        "A rate, or rates with the step each lasts until, as in A1111: 5e-5:100, 5e-6:1500, 1e-6. "
        "Or a curve: cosine 5e-5 to 1e-6 warmup 100.",
        rare=False,
    )
    batch_size: int = setting(
        1, "Pictures per batch. More needs more memory and is calmer.", 1, 1024, rare=False
    )
    accumulation: int = setting(
        1, "Batches per update: a larger batch without its memory.", 1, 1024
    )
    seed: int = setting(
        0,
        "Decides order, noise and timesteps. The same seed gives the same file on the CPU.",
        0, 2**53, rare=False,
    )  # fmt: skip
    save_every: int = setting(
        500, "Updates between checkpoints in the run folder; 0 for none.", 0, MOST_STEPS
    )
    optimizer: str = setting(
        "AdamW",
        "; ".join(f"{name}: {kind.about}" for name, kind in OPTIMIZERS.items()) + ".",
        options=tuple(OPTIMIZERS),
    )
    weight_decay: float = setting(
        0.01, "How much weights are drawn towards 0, as a factor on the rate.", 0, 10, step=0.001
    )
    gradient_clip: str = setting(
        "off", "Limit gradients: each number (value), or all of them together (norm).",
        options=CLIPS,
    )  # fmt: skip
    clip_limit: str = setting(
        "0.1", "What gradients are limited to, as a number or a schedule like the learning rate's."
    )
    ema: float = setting(
        0.0,
        "Save the moving average of the network instead of its last state: the part that is kept "
        "at each update, e.g. 0.999. 0: off.",
        0, 0.99999, step=0.0001,
    )  # fmt: skip
    loss: str = setting(
        "MSE", "MSE is A1111's. Huber forgives large errors, as of pictures unlike the others.",
        options=LOSSES,
    )  # fmt: skip
    huber_delta: float = setting(
        0.1, "Huber: errors above this count less.", 0.0001, 100, step=0.01
    )
    min_snr_gamma: float = setting(
        0.0, "Make nearly clean pictures count less (min-SNR-γ); 5 is usual. 0: off.", 0, 100,
        step=0.1,
    )  # fmt: skip
    noise_offset: float = setting(
        0.0, "Noise of a whole channel, for very dark or bright pictures; 0.05 is usual. 0: off.",
        0, 1, step=0.01,
    )  # fmt: skip
    timesteps: str = setting(
        "uniform", "How noise levels are drawn: all alike, or the middle ones more often.",
        options=TIMESTEPS,
    )  # fmt: skip
    min_timestep: int = setting(0, "Train from this noise level on; 0 is a clean picture.", 0, 999)
    max_timestep: int = setting(1000, "Train on noise levels below this; 1000 is all.", 1, 1000)
    probe_every: int = setting(
        100,
        "Updates between measurements on always the same pictures and noise: they tell the best "
        "network, and whether it learns, burns or overfits. 0: never.",
        0, MOST_STEPS,
    )  # fmt: skip
    held_out: int = setting(
        -1,
        "Pictures kept out of training to measure on. -1: one in 20, at most 8, if there are 40.",
        -1, 1000,
    )  # fmt: skip
    checkpointing: str = setting(
        "auto", "Compute parts twice to save memory. auto: only if memory runs out without.",
        options=CHECKPOINTING,
    )  # fmt: skip
    latent_sampling: str = setting(
        "deterministic",
        "A VAE gives a mean and a spread. deterministic: the mean; once: one sample, as A1111 does "
        "by default; random: a new sample each time a picture is shown.",
        options=LATENT_SAMPLING,
    )
    unet_dtype: str = setting(
        OWN, "The numbers that the frozen UNet computes with; the network learns in float32. "
        "float16 and bfloat16 take half the memory of float32; int8 keeps its weights in a byte "
        "each and computes as it does by itself.",
        options=DTYPES,
    )  # fmt: skip
    offload: bool = setting(
        False,
        "Keep the UNet in RAM and fetch it block by block, twice per update: for cards that it "
        "does not fit on. Much slower.",
    )
    compile: bool = setting(
        False,
        "Let torch compile parts of the UNet: minutes at the beginning, faster updates after. "
        "Needs a compiler (Triton on GPUs); without one training goes on as ever.",
    )

    save_optimizer: bool = setting(
        False,
        "Write the optimizer's state beside every checkpoint and the finished network (.optim), "
        "as A1111 does, to train it further anywhere. Twice the size of the network.",
    )
    preserve: float = setting(
        0.0,
        "Weight of drawing everyday things as without the network, so that the model forgets "
        "less; 1 is usual. 0: off.",
        0, 100, step=0.1,
    )  # fmt: skip
    preserve_every: int = setting(
        8, "Batches per batch of everyday things. Fewer preserve more and take more time.", 1, 1000
    )
    strength_curve: str = setting(
        "",
        "How strongly it learns and acts along the way from noise (0) to picture (1), such as "
        "0: 0.3, 0.5: 1, even in between. Recorded, and used when applied. Empty: 1 all the way.",
    )
    averages: int = setting(
        0,
        "Snapshots of two moving averages, from which Average Hypernet makes averages of other "
        "widths after training; 8 is usual. Each takes the size of the network. 0: none.",
        0, 1000,
    )  # fmt: skip

    preserve_prompts: str = setting(
        "",
        "What preserve holds in place of everyday things: prompts, one a line, such as class "
        "words. Not the trigger word.",
        lines=True,
    )
    regularization_weight: float = setting(
        1.0,
        "How much regularization pictures count: kohya's prior_loss_weight. 1: as much as the "
        "pictures to learn.",
        0, 100, step=0.1,
    )  # fmt: skip

    cuda_graphs: bool = setting(
        False,
        "Record an update once and replay it, so that the card does not wait for Python: most on "
        "small batches. For NVIDIA cards. Needs memory of its own; not with checkpointing.",
    )

    blocks_to_swap: int = setting(
        0,
        "So many blocks of the model stay in RAM and are fetched when they compute, the next one "
        "meanwhile: for models that a card nearly holds. offload keeps all of them there. 0: none.",
        0, 1000,
    )  # fmt: skip

    train_strength: float = 1.0  # at which it learns; guidance exaggerates what it learnt (auto.py)
    steer: bool = False  # the size of what the network adds corrects the rate (health.steered)

    def __post_init__(self) -> None:
        numbers = range_faults(self)
        faults = [*numbers.values(), *self._word_faults(), *self._contradictions(set(numbers))]
        if faults:
            raise ValueError(" ".join(faults))

    @cached_property
    def schedule(self) -> Schedule:
        """The learning_rate, parsed once, when the settings are validated."""
        return parse_schedule(self.learning_rate, self._length)

    @cached_property
    def limits(self) -> Schedule:
        """The clip_limit, parsed once. Only meaningful if gradients are clipped."""
        return parse_schedule(self.clip_limit, self._length, what=LIMIT)

    @cached_property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """The strength_curve, parsed once: (share of sampling, factor) points."""
        return parse_strength_curve(self.strength_curve)

    @property
    def arithmetic(self) -> torch.dtype | None:
        """The unet_dtype as torch has it; None for the UNet's own. int8 is of its weights only."""
        return None if self.unet_dtype == OWN else getattr(torch, self.unet_dtype)

    @property
    def swapped(self) -> int:
        """How many blocks stay in RAM and visit the device."""
        return ALL if self.offload else self.blocks_to_swap

    @property
    def _length(self) -> int:
        """The steps, or MOST_STEPS if they are invalid or open, to check the schedule anyway."""
        return MOST_STEPS if "steps" in range_faults(self) else self.steps or MOST_STEPS

    def require_rate(self, step: int) -> None:
        """Raises ValueError when steps are left but the schedule has no rate for this one."""
        if step < self.steps and self.schedule.rate_at(step) is None:
            raise ValueError(is_over_by(step, self.learning_rate))

    def _word_faults(self) -> Iterator[str]:
        if fault := optimizer_fault(self.optimizer):
            yield fault
        for each in fields(self):
            options, word = each.metadata.get("options"), getattr(self, each.name)
            if options and word not in options and each.name != "optimizer":
                yield f'{each.name} "{word}" is not known. Nearest: {nearest(str(word), options)}.'

    def _contradictions(self, wrong: set[str]) -> Iterator[str]:
        """Yields what is wrong with schedules and timesteps. wrong: fields with invalid numbers."""
        yield from self._rate_faults()
        if self.gradient_clip != "off":
            try:
                limits = self.limits
            except ValueError as fault:
                yield str(fault)
            else:
                if not all(limits.rate_at(step) for step in some_steps(limits.end)):
                    yield (
                        f'Clip limit "{self.clip_limit}": a limit of 0 lets nothing be learnt. '
                        "Give more, or set gradient_clip to off."
                    )
        try:
            if self.curve and not any(factor for _, factor in self.curve):
                yield (
                    f'strength_curve "{self.strength_curve}": with 0 all the way nothing is '
                    "learnt. Give more somewhere, or leave it empty."
                )
        except ValueError as fault:
            yield f"strength_curve: {fault}"
        if not wrong & {"min_timestep", "max_timestep"} and self.min_timestep >= self.max_timestep:
            yield (
                f"min_timestep {self.min_timestep} is not below max_timestep "
                f"{self.max_timestep}: no noise level is left."
            )

    def _rate_faults(self) -> Iterator[str]:
        try:
            schedule = self.schedule
        except ValueError as fault:
            yield str(fault)
            return
        highest = max(schedule.rate_at(step) or 0.0 for step in some_steps(schedule.end))
        if self.optimizer == "Prodigy" and highest < LEAST_PRODIGY:
            yield (
                f'{RATE} "{self.learning_rate}" would keep Prodigy from learning: it finds the '
                'rate itself, and this is a factor on it. Give 1, or "cosine 1".'
            )


def range_faults(settings: Any) -> dict[str, str]:
    """A sentence for each field whose value is no number, or is outside the field's range."""
    faults = {}
    for each in fields(settings):
        low, value = each.metadata.get("low"), getattr(settings, each.name)
        if low is None:
            continue
        high = each.metadata["high"]
        if not isinstance(value, (int, float)) or not low <= value <= high:
            faults[each.name] = f"{each.name} {value}: give {low:,} to {high:,}."
        elif isinstance(each.default, int) and not isinstance(value, int):
            faults[each.name] = f"{each.name} {value}: give a whole number."
    return faults


def some_steps(end: int) -> Iterator[int]:
    """About a thousand evenly spaced steps of a schedule, including the first and the last."""
    yield from range(0, end, max(1, end // 1000))
    yield end - 1
