"""LearningRateRangeTest: finds by trial which rates this network learns at from these pictures."""

import torch

from hypernet.dataset.items import Dataset
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.network.spec import HypernetSpec
from hypernet.training.auto import AutoSettings, as_cosine, settle, usual_rate
from hypernet.training.plots import range_picture
from hypernet.training.presets import AUTO, PRESETS
from hypernet.training.probe import Probe
from hypernet.training.range_test import (
    Point,
    corrected,
    range_test,
    read_rates,
    useful_band,
)
from hypernet.training.settings import TrainSettings

from ... import compat
from ...compat import io, ui
from ..shared.sockets import CATEGORY, ConfigSocket, DatasetSocket, chosen_widgets, more_widgets
from .asked import check_one_source
from .denoiser import open_denoiser
from .hypernet_config import chosen_spec
from .material import Material, from_dataset, from_given, read_given
from .train_hypernet import one_of_each, only

SHOWN_FIRST = ("batch_size", "accumulation", "seed", "optimizer")
NOT_TESTED = (
    "steps", "learning_rate", "save_every", "ema", "probe_every", "compile", "save_optimizer",
    "preserve", "preserve_every", "strength_curve", "averages",
    "preserve_prompts", "regularization_weight", "cuda_graphs",
)  # fmt: skip
PROBED = 8  # samples of a probe, if the material has none
POINTS = 50
STEPS = PRESETS[AUTO].steps
ANY_LATENT = (1, 1)  # with a typed rate, nothing is chosen by the latents' size


class LearningRateRangeTest(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetRangeTest",
            display_name="Learning Rate Range Test",
            category=CATEGORY,
            description="Trains a few hundred steps at rising rates, draws what becomes of the "
            "loss, and suggests a schedule. Writes no network.",
            search_aliases=["learning rate finder", "lr range test", "hypernetwork rate"],
            is_output_node=True,
            is_input_list=True,
            inputs=[
                io.Model.Input("model", tooltip="The model to train on. It is not changed."),
                io.Clip.Input("clip", tooltip="Text encoder of the same checkpoint."),
                io.Vae.Input("vae", tooltip="VAE of the same checkpoint."),
                DatasetSocket.Input(
                    "dataset", optional=True,
                    tooltip="Pictures and words to learn. Or connect latents and conditioning.",
                ),
                ConfigSocket.Input("config", tooltip="Shape of the network, from Hypernet Config."),
                io.String.Input(
                    "name", default="my_style", tooltip="What [name] in templates stands for.",
                ),
                io.String.Input(
                    "rates", default="1e-7 to 1e-2",
                    tooltip="The lowest and the highest learning rate to try.",
                ),
                io.Int.Input(
                    "steps", default=200, min=20, max=10_000,
                    tooltip="Updates in all, while the rate rises. More are slower and finer.",
                ),
                *chosen_widgets(TrainSettings, SHOWN_FIRST),
                io.Latent.Input(
                    "latents", optional=True, tooltip="Encoded pictures in place of a dataset.",
                ),
                io.Conditioning.Input(
                    "conditioning", optional=True,
                    tooltip="Encoded texts for the latents: one for each, or one for all.",
                ),
                *other_widgets(),
            ],
            outputs=[
                io.String.Output("learning_rate", display_name="learning_rate"),
                io.Float.Output("low", display_name="low"),
                io.Float.Output("high", display_name="high"),
                io.Image.Output("plot", display_name="plot"),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, rates: list | None = None) -> bool | str:
        try:
            read_rates(only(rates) or "1 to 2")
        except ValueError as fault:
            return str(fault)
        return True

    @classmethod
    def execute(
        cls, latents: list | None = None, conditioning: list | None = None, **inputs
    ) -> io.NodeOutput:
        given = one_of_each(inputs)
        with torch.inference_mode(False):
            points = tested(latents or [], conditioning or [], **given)
        band = useful_band(points)
        spec = chosen_spec(given["config"], given["model"], AUTO)
        chosen = usual_rate(spec, STEPS, given["optimizer"])
        schedule = as_cosine(corrected(chosen, band, given["steps"] / STEPS), STEPS)
        plot = range_picture(points, band)
        shown = ui.PreviewImage(plot, cls=cls).as_dict()
        shown["text"] = [
            f"Rates from {band.low:.1e} to {band.high:.1e} lower the loss; auto takes "
            f"{chosen:.2g}. For {STEPS:,} steps: {schedule}"
        ]
        return io.NodeOutput(schedule, band.low, band.high, plot, ui=shown)


def other_widgets() -> list[io.Input]:
    """Those of the training, whose timesteps alone are left open: the model decides them."""
    (timesteps,) = chosen_widgets(AutoSettings, ["timesteps"], optional=True)
    others = more_widgets(TrainSettings, (*SHOWN_FIRST, *NOT_TESTED))
    return [timesteps if each.id == timesteps.id else each for each in others]


def tested(
    latents: list, conditioning: list, *, model, clip, vae, config, name: str, rates: str,
    steps: int, dataset: Dataset | None = None, **settings,
) -> list[Point]:  # fmt: skip
    """The points of the test. Raises ValueError for invalid settings."""
    check_one_source(dataset, latents, conditioning)
    low, high = read_rates(rates)
    spec = chosen_spec(config, model, AUTO)
    asked = AutoSettings(**settings, steps=steps, learning_rate=f"{high!r}")
    settings = settle(asked, spec, ANY_LATENT, compat.prediction(model)).settings
    try:
        if dataset is None:
            given = read_given(
                latents, conditioning, model, seed=settings.seed, batch_size=settings.batch_size
            )
            material = from_given(given, conditioning, model, clip, settings, [])
        else:
            material = from_dataset(
                dataset, model, clip, vae, name=name, settings=settings, previewed=[]
            )
    finally:
        compat.release(vae, clip)
    return try_rates(model, spec, material, settings, low, high)


def try_rates(
    model, spec: HypernetSpec, material: Material, settings: TrainSettings, low: float, high: float
) -> list[Point]:
    size = settings.batch_size
    probe = material.probe or Probe(
        [material.batch_at(first, size) for first in range(0, PROBED, size)]
    )
    progress = compat.Progress(settings.steps, title="Testing learning rates")
    network = Hypernetwork(spec)

    def batch_at(first: int, number: int):  # is called before each batch
        compat.raise_if_interrupted()
        progress.update(first // (size * settings.accumulation))
        return material.batch_at(first, number)

    try:
        with open_denoiser(model, settings, lambda sentence: None) as denoiser:
            network.to(denoiser.device)
            every = max(1, settings.steps // POINTS)
            found = range_test(
                network, denoiser, batch_at, probe, settings, low, high, settings.steps, every
            )
            points = list(found)
        progress.update(settings.steps)
    finally:
        progress.close()
        compat.free_memory()
    return points
