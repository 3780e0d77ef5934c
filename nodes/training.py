"""TrainHypernet: pictures and words in, a hypernetwork and its file out.

The node owns what the loop does not: encoding once, progress, interrupts, saving. Pictures and
prompts are encoded first, VAE and text encoder leave, then the UNet is trained on. Everything that
matters is on disk before the node returns.
"""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from .. import compat
from ..compat import io
from ..hypernet.dataset import Dataset
from ..hypernet.files import save_network
from ..hypernet.latents import Examples, all_prompts, encode_dataset
from ..hypernet.learner import Learner
from ..hypernet.network import Hypernetwork, Record
from ..hypernet.run import Run, check_disk
from ..hypernet.schedule import parse_schedule
from ..hypernet.spec import HypernetSpec, as_text
from ..hypernet.train import TrainingDiverged, TrainSettings, train
from .config import every_width
from .files import name_fault, new_file
from .sockets import (
    CATEGORY,
    Config,
    ConfigSocket,
    DatasetSocket,
    HypernetSocket,
    default,
    more_widgets,
)

log = logging.getLogger(__name__)


SHOWN_ABOVE = ("steps", "learning_rate", "batch_size", "accumulation", "seed", "save_every")


class TrainHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetTrain",
            display_name="Train Hypernet",
            category=CATEGORY,
            description="Trains a hypernetwork on a dataset and saves it in models/hypernetworks. "
            "Interrupting keeps what was trained; running again goes on from there.",
            search_aliases=["train hypernetwork", "training", "fine-tune", "style training"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The model to train on. It is not changed."),
                io.Clip.Input("clip", tooltip="Text encoder of the same checkpoint."),
                io.Vae.Input("vae", tooltip="VAE of the same checkpoint."),
                DatasetSocket.Input("dataset", tooltip="Pictures and words to learn."),
                ConfigSocket.Input("config", tooltip="Shape of the network, from Hypernet Config."),
                io.String.Input(
                    "name", default="my_style",
                    tooltip="Name of the file and of [name] in templates. An existing file is "
                    "never overwritten.",
                ),
                io.Int.Input(
                    "steps", default=default(TrainSettings, "steps"), min=1, max=10_000_000,
                    tooltip="Updates in all; an interrupted run counts on.",
                ),
                io.String.Input(
                    "learning_rate", default=default(TrainSettings, "learning_rate"),
                    tooltip="A rate, or rates with the step each lasts until, as in A1111: "
                    "5e-5:100, 5e-6:1500, 1e-6.",
                ),
                io.Int.Input(
                    "batch_size", default=default(TrainSettings, "batch_size"), min=1, max=1024,
                    tooltip="Pictures per batch. More needs more memory and is calmer.",
                ),
                io.Int.Input(
                    "accumulation", default=default(TrainSettings, "accumulation"),
                    min=1, max=1024, advanced=True,
                    tooltip="Batches per update: a larger batch without its memory.",
                ),
                io.Int.Input(
                    "seed", default=default(TrainSettings, "seed"), min=0, max=2**53,
                    control_after_generate=False,
                    tooltip="Decides order, noise and timesteps. The same seed gives the same "
                    "file on the CPU.",
                ),
                io.Int.Input(
                    "save_every", default=default(TrainSettings, "save_every"),
                    min=0, max=10_000_000, advanced=True,
                    tooltip="Updates between checkpoints in the run folder; 0 for none.",
                ),
                io.Boolean.Input(
                    "resume", default=True, advanced=True,
                    tooltip="Go on with an unfinished run of this name.",
                ),
                io.String.Input(
                    "preview_prompt", default="", multiline=True,
                    tooltip="Prompt of the picture made at the end. Empty: the first caption.",
                ),
                io.Int.Input(
                    "preview_steps", default=20, min=1, max=200, advanced=True,
                    tooltip="Sampling steps of the preview.",
                ),
                io.Float.Input(
                    "preview_cfg", default=7.0, min=0.0, max=100.0, step=0.1, advanced=True,
                    tooltip="Guidance scale of the preview.",
                ),
                *more_widgets(TrainSettings, SHOWN_ABOVE),
            ],
            outputs=[
                HypernetSocket.Output("hypernet", display_name="hypernet"),
                io.Custom("LOSS_MAP").Output("loss_map", display_name="loss_map"),
                io.Image.Output("preview", display_name="preview"),
                io.String.Output("path", display_name="path"),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls, name: str | None = None, learning_rate: str | None = None
    ) -> bool | str:
        try:
            parse_schedule("1" if learning_rate is None else learning_rate, max_steps=10_000_000)
        except ValueError as fault:
            return str(fault)
        return name_fault(name)

    @classmethod
    def execute(
        cls, model, clip, vae, dataset, config, name: str, resume: bool, preview_prompt: str,
        preview_steps: int, preview_cfg: float, **settings,
    ) -> io.NodeOutput:  # fmt: skip
        job = Job(model, clip, vae, dataset, config, TrainSettings(**settings), new_file(name))
        job.check(resume)
        with torch.inference_mode(False):
            prompts = [preview_prompt or dataset.items[0].caption, ""]
            words = [compat.conditioning(clip, prompt) for prompt in prompts]
            network, run = job.train(resume)
            picture = compat.generate(
                with_network(model, network), vae, *words,
                width=dataset.width, height=dataset.height,
                seed=job.settings.seed, steps=preview_steps, cfg=preview_cfg,
            )  # fmt: skip
        path = str(save_network(network, job.file))
        shown = compat.ui.PreviewImage(picture, cls=cls).as_dict()
        shown |= {"saved": [path], "text": [f"Saved {path} after {network.record.step} steps."]}
        return io.NodeOutput(network, {"loss": run.losses()}, picture, path, ui=shown)


def with_network(model, network: Hypernetwork):
    """The model as ApplyHypernet at strength 1 gives it."""
    from .apply import ApplyHypernet

    return ApplyHypernet.execute(model, network, 1.0)[0]


@dataclass
class Job:
    """One training, from the sockets to the run folder."""

    model: object
    clip: object
    vae: object
    dataset: Dataset
    config: Config
    settings: TrainSettings
    file: Path

    @property
    def folder(self) -> Path:
        return compat.output_folder() / "hypernet" / self.file.stem

    @property
    def spec(self) -> HypernetSpec:
        widths = every_width(self.model)
        if self.config.every_width:
            return replace(self.config.spec, widths=widths)
        missing = sorted(set(self.config.spec.widths) - set(widths))
        if missing:
            raise ValueError(
                f"Widths {as_text(missing)} are not in this model, which has {as_text(widths)}. "
                "Leave widths empty in Hypernet Config to train all of them."
            )
        return self.config.spec

    def check(self, resume: bool) -> None:
        """Everything that can be wrong, before any time is spent."""
        check_disk(self.folder, self.spec, self.settings)
        if not resume and (self.folder / "state.pt").exists():
            raise FileExistsError(
                f'There is an unfinished run "{self.file.stem}" in {self.folder}. Turn resume on '
                "to go on with it, choose another name, or move that folder away."
            )

    def train(self, resume: bool) -> tuple[Hypernetwork, Run]:
        network = Hypernetwork(self.spec, Record(name=self.file.stem))
        network.record.sd_checkpoint_name = compat.model_name(self.model) or None
        examples = self.encode()
        run = Run(self.folder, self.file.stem, len(examples.dataset.shown), self.settings)
        with compat.denoiser(self.model) as denoiser:
            network.to(denoiser.device)
            learner = Learner(network, self.settings)
            run.restore(network, learner)
            run.describe(self.manifest(network))
            progress = compat.Progress(self.settings.steps)
            probe = examples.probe(self.settings.batch_size)
            steps = train(learner, denoiser, examples.batch_at, probe)
            began = time.monotonic()
            try:
                for step in steps:
                    run.note(step)
                    for note in step.notes:
                        log.warning(note)
                    progress.update(step.done)
                    if self.settings.save_every and step.done % self.settings.save_every == 0:
                        run.save_checkpoint(learner.result)
                        run.save_state(network, learner)
                    if compat.is_interrupted():
                        run.save_checkpoint(learner.result)
                        run.save_state(network, learner)
                        compat.raise_if_interrupted()
            except TrainingDiverged:
                run.save_checkpoint(learner.result)
                raise
            run.save_state(network, learner)
            run.describe(self.manifest(network) | {"seconds": round(time.monotonic() - began, 1)})
        return learner.result.cpu(), run

    def encode(self) -> Examples:
        """Pictures and prompts, each once; then both encoders leave."""
        dataset, latents = encode_dataset(
            self.dataset,
            lambda pixels: compat.encode_pictures(self.vae, pixels, self.model),
            each=lambda item: compat.raise_if_interrupted(),
        )
        for name, reason in dataset.unreadable[len(self.dataset.unreadable) :]:
            log.warning('Skipped "%s": %s', name, reason)
        prompts = all_prompts(dataset, self.file.stem)
        conditions = dict(zip(prompts, compat.encode_texts(self.clip, prompts), strict=True))
        compat.release(self.vae, self.clip)
        return Examples(
            dataset=dataset,
            name=self.file.stem,
            seed=self.settings.seed,
            latents=latents,
            conditions=conditions,
            hold_out=self.settings.held_out,
        )

    def manifest(self, network: Hypernetwork) -> dict:
        return {
            "name": self.file.stem,
            "host": compat.host_name(),
            "torch": torch.__version__,
            "model": network.record.sd_checkpoint_name,
            "spec": asdict(network.spec),
            "settings": asdict(self.settings),
            "dataset": asdict(self.dataset),
        }
