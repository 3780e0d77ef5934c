"""LearningRate: suggests a schedule, says why, and draws it."""

from hypernet.network.spec import HypernetSpec
from hypernet.training.advice import settings_warnings, spec_warnings, suggest
from hypernet.training.optimizers import OPTIMIZERS
from hypernet.training.plots import schedule_picture
from hypernet.training.schedule import parse_schedule
from hypernet.training.settings import MOST_STEPS, TrainSettings

from ...compat import io, ui
from ..shared.sockets import CATEGORY, ConfigSocket, DatasetSocket


class LearningRate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetLearningRate",
            display_name="Learning Rate",
            category=CATEGORY,
            description="Suggests a learning rate schedule by the recipes that people wrote down, "
            "says why, and draws it.",
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
                    "dataset", optional=True, tooltip="The pictures, to count them."
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
            parse_schedule((learning_rate or "").strip() or "1", MOST_STEPS)
        except ValueError as fault:
            return str(fault)
        return True

    @classmethod
    def execute(
        cls, pictures: int, batch_size: int, accumulation: int, optimizer: str,
        learning_rate: str, steps: int, config=None, dataset=None,
    ) -> io.NodeOutput:  # fmt: skip
        spec = config.spec if config else HypernetSpec()
        pictures = len(dataset.items) if dataset else pictures
        settings, advice = advise(
            spec, pictures, batch_size, accumulation, optimizer, learning_rate, steps
        )
        plot = schedule_picture(settings.schedule, settings.learning_rate)
        return io.NodeOutput(
            settings.learning_rate, settings.steps, advice, plot, ui=ui.PreviewText(advice)
        )


def advise(
    spec: HypernetSpec, pictures: int, batch_size: int, accumulation: int, optimizer: str,
    learning_rate: str, steps: int,
) -> tuple[TrainSettings, str]:  # fmt: skip
    """(settings, advice). A learning_rate or steps that is not given is suggested.

    Raises ValueError for invalid settings.
    """
    found = suggest(spec, pictures, batch_size, accumulation, optimizer)
    settings = TrainSettings(
        steps=steps or found.steps, learning_rate=learning_rate.strip() or found.learning_rate,
        batch_size=batch_size, accumulation=accumulation, optimizer=optimizer,
    )  # fmt: skip
    warnings = [*spec_warnings(spec, pictures), *settings_warnings(settings)]
    suggestion = f"Suggested: {found.learning_rate} for {found.steps:,} steps."
    lines = [suggestion, *found.reasons, *(f"Note: {warning}" for warning in warnings)]
    return settings, "\n".join(lines)
