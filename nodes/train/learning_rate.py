"""LearningRate: shows the schedule that a training will follow, says why, and draws it."""

from hypernet.network.spec import HypernetSpec
from hypernet.pictures.latent_size import PIXELS
from hypernet.training.advice import settings_warnings, spec_warnings
from hypernet.training.auto import AutoSettings, settle
from hypernet.training.optimizers import OPTIMIZERS
from hypernet.training.plots import schedule_picture
from hypernet.training.presets import AUTO, PRESETS
from hypernet.training.settings import MOST_STEPS, TrainSettings

from ...compat import io, ui
from ..shared.sockets import CATEGORY, ConfigSocket, DatasetSocket

SD1_LATENT = (64, 64)  # rows and columns


class LearningRate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetLearningRate",
            display_name="Learning Rate",
            category=CATEGORY,
            description="Shows what Train Hypernet chooses by itself, says why, and draws the "
            "learning rate.",
            search_aliases=["learning rate calculator", "hypernetwork schedule", "lr"],
            inputs=[
                io.Int.Input(
                    "pictures", default=30, min=1, max=MOST_STEPS,
                    tooltip="How many pictures there are. A dataset counts its own.",
                ),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=1024,
                    tooltip="Pictures per batch, as in Train Hypernet.",
                ),
                io.Int.Input(
                    "accumulation", default=1, min=1, max=1024,
                    tooltip="Batches per update, as in Train Hypernet.",
                ),
                io.Combo.Input(
                    "optimizer", options=list(OPTIMIZERS), default="AdamW", advanced=True,
                    tooltip="Each optimizer wants rates of its own.",
                ),
                io.String.Input(
                    "learning_rate", default="",
                    tooltip="A schedule of your own, to see it and hear what is said against it. "
                    "Empty: the suggested one.",
                ),
                io.Int.Input(
                    "steps", default=0, min=0, max=MOST_STEPS,
                    tooltip="Updates in all. 0: as many as suggested.",
                ),
                ConfigSocket.Input(
                    "config", optional=True,
                    tooltip="Shape of the network. Without it: 1, 2, 1, linear.",
                ),
                DatasetSocket.Input(
                    "dataset", optional=True, tooltip="The pictures: their number and their size."
                ),
                io.Combo.Input(
                    "preset", options=list(PRESETS), default=AUTO, optional=True,
                    tooltip="Whose suggestion to see, as in Train Hypernet.",
                ),
            ],
            outputs=[
                io.String.Output("learning_rate", display_name="learning_rate"),
                io.Int.Output("steps", display_name="steps"),
                io.String.Output("advice", display_name="advice"),
                io.Image.Output("plot", display_name="plot"),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, learning_rate: str | None = None) -> bool | str:
        try:
            AutoSettings(learning_rate=(learning_rate or "").strip() or AUTO)
        except ValueError as fault:
            return str(fault)
        return True

    @classmethod
    def execute(
        cls, pictures: int, batch_size: int, accumulation: int, optimizer: str,
        learning_rate: str, steps: int, config=None, dataset=None, preset: str = AUTO,
    ) -> io.NodeOutput:  # fmt: skip
        spec = config.spec if config else HypernetSpec()
        latent = SD1_LATENT
        if dataset:
            pictures = len(dataset.items)
            latent = dataset.height // PIXELS, dataset.width // PIXELS
        settings, advice = advise(
            spec, latent, pictures, batch_size=batch_size, accumulation=accumulation,
            optimizer=optimizer, learning_rate=learning_rate, steps=steps, preset=preset,
        )  # fmt: skip
        plot = schedule_picture(settings.schedule, settings.learning_rate)
        return io.NodeOutput(
            settings.learning_rate, settings.steps, advice, plot, ui=ui.PreviewText(advice)
        )


def advise(
    spec: HypernetSpec, latent: tuple[int, int], pictures: int, *, learning_rate: str, **given
) -> tuple[TrainSettings, str]:
    """(settings without anything open, advice). An empty learning_rate is open.

    Raises ValueError for invalid settings.
    """
    asked = AutoSettings(learning_rate=learning_rate.strip() or AUTO, **given)
    choice = settle(asked, spec, latent)
    warnings = [*spec_warnings(spec, pictures), *settings_warnings(choice.settings, spec)]
    return choice.settings, "\n".join([*choice.reasons, *(f"Note: {each}" for each in warnings)])
