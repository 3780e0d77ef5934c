"""A training that was asked for: what must fit together, what it begins with, and what it leaves.

All that can be known to be wrong is said before any time is spent. Pictures and prompts are encoded
first, VAE and text encoder leave, then the UNet is trained on. Everything that matters is on disk
before the node returns. Where several processes train together, the leading one writes it.
"""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .. import compat
from ..hypernet.advice import settings_warnings
from ..hypernet.course import read_course
from ..hypernet.dataset import Dataset
from ..hypernet.diffusion import Denoiser
from ..hypernet.files import open_network
from ..hypernet.given import Given
from ..hypernet.identity import model_hash
from ..hypernet.learner import Learner
from ..hypernet.network import Hypernetwork, Record, load_weights
from ..hypernet.optim import open_optimizer, optimizer_file
from ..hypernet.optimizers import missing_package
from ..hypernet.parallel import Processes
from ..hypernet.run import Keeping, Run, check_disk
from ..hypernet.schedule import parse_schedule
from ..hypernet.settings import OWN, TrainSettings
from ..hypernet.spec import HypernetSpec
from ..hypernet.state import (
    State,
    check_same_network,
    is_unfinished,
    load_optimizer,
    load_state,
    newest_state,
    plain,
    spec_differences,
)
from .config import chosen_spec
from .encoders import leave
from .live import LiveRun, watched
from .material import Material, Words, from_dataset, from_given, read_given
from .previews import Previewer, PreviewSettings
from .session import Session, follow
from .sockets import Config

log = logging.getLogger(__name__)


def check_one_source(dataset: Dataset | None, latents: list, conditioning: list) -> None:
    """Raises ValueError unless there is a dataset, or else latents and conditioning."""
    given = {"dataset": dataset is not None, "latents": latents, "conditioning": conditioning}
    connected = [key for key, value in given.items() if value]
    if connected not in (["dataset"], ["latents", "conditioning"]):
        raise ValueError(
            "A network learns from a dataset, or from latents with conditioning; connected: "
            f"{', '.join(connected) or 'none of them'}. Connect one of the two."
        )


def open_denoiser(
    model, settings: TrainSettings, say: Callable[[str], object]
) -> AbstractContextManager[Denoiser]:
    """The model's UNet as the settings want it; say hears what cannot be had."""
    return compat.denoiser(
        model,
        dtype=None if settings.unet_dtype == OWN else getattr(torch, settings.unet_dtype),
        offload=settings.offload,
        compiled=say if settings.compile else None,
    )


@dataclass(kw_only=True)
class Job:
    """One training, from the sockets to the run folder. `said` is what the user should read."""

    model: object
    clip: object
    vae: object
    dataset: Dataset | None  # or else:
    latents: list
    conditioning: list
    config: Config
    settings: TrainSettings
    keeping: Keeping
    preview: PreviewSettings
    file: Path
    resume: bool
    encoders: str  # where they are meanwhile, see encoders.py
    earlier: Path | None  # the file of the network to begin with
    node: str = ""  # its id in the graph
    live: LiveRun | None = None  # while it runs
    state: State | None = None  # of the run to go on with
    given: Given | None = None
    start: int = 0  # updates that are already done
    said: list[str] = field(default_factory=list)
    graph: dict[str, object] = field(default_factory=dict)  # which the previews carry

    @property
    def folder(self) -> Path:
        return compat.output_folder() / "hypernet" / self.file.stem

    def say(self, sentence: str) -> None:
        with tqdm.external_write_mode(sys.stderr):  # or it would end the line of the progress
            log.warning(sentence)
        self.said.append(sentence)
        if self.live is not None:
            self.live.say(sentence)

    @cached_property
    def spec(self) -> HypernetSpec:
        return chosen_spec(self.config, self.model, self.before and self.before.spec.widths)

    @cached_property
    def before(self) -> Hypernetwork | None:
        """The network to begin with."""
        if self.earlier is None:
            return None
        found = open_network(self.earlier, compat.network_folders())
        if not isinstance(found, Hypernetwork):
            raise ValueError(
                f'continue_from "{self.earlier.name}" is a tree of networks; training goes on '
                "with a single one. Merge it into one first."
            )
        return found

    # What can be wrong

    def check(self) -> None:
        """Everything that can be wrong, before any time is spent."""
        if lacking := missing_package(self.settings.optimizer):
            raise ValueError(lacking)
        for sentence in settings_warnings(self.settings):
            self.say(sentence)
        if self.preview.taken_out:
            self.say(
                f"Taken out of the prompts of previews: {' '.join(self.preview.taken_out)}. "
                "Previews show the network that is being trained, and no other."
            )
        if not self.resume and is_unfinished(self.folder):
            raise FileExistsError(
                f'There is an unfinished run "{self.file.stem}" in {self.folder}. Turn resume on '
                "to go on with it, choose another name, or move that folder away."
            )
        self.find_start()
        check_disk(self.folder, self.spec, self.settings, self.keeping, self.start)
        if self.start < self.settings.steps:  # does the schedule reach that far?
            parse_schedule(self.settings.learning_rate, self.settings.steps, self.start)
        if self.dataset is None:
            self.given = read_given(
                self.latents, self.conditioning, self.model,
                seed=self.settings.seed, batch_size=self.settings.batch_size,
            )  # fmt: skip

    def find_start(self) -> None:
        self.state, damage = newest_state(self.folder)
        if damage:
            self.say(damage)
        if self.state is not None:
            what = f'The unfinished run "{self.file.stem}" in {self.folder}'
            check_same_network(self.state, self.spec, what)
            self.start = self.state.step
        elif self.before is not None:
            self.check_before(self.before)
            self.start = self.before.record.step
        if self.start > self.settings.steps:
            self.say(f"The run has had {self.start} updates; steps {self.settings.steps} is less.")

    def check_before(self, network: Hypernetwork) -> None:
        name = self.earlier.name
        differences = spec_differences(plain(asdict(network.spec)), plain(asdict(self.spec)))
        if differences:
            raise ValueError(
                f'continue_from "{name}" is another network: {differences}. Choose the same in '
                "Hypernet Config, or continue from nothing."
            )
        if network.record.step >= self.settings.steps:
            raise ValueError(
                f'continue_from "{name}" has had {network.record.step} updates, and steps '
                f"{self.settings.steps} counts them too: give more."
            )

    # Doing it

    def run(self) -> tuple[Hypernetwork, Tensor, list[float]]:
        """The network, whose file is written, its last preview, and all losses."""
        live = LiveRun(name=self.file.stem, node=self.node, total=self.settings.steps)
        with watched(live) as self.live:
            return self.train()

    def train(self) -> tuple[Hypernetwork, Tensor, list[float]]:
        processes = compat.gather_processes()
        material, previewer = self.encode_in_turn(processes)
        network = Hypernetwork(self.spec, Record(name=self.file.stem))
        network.record.sd_checkpoint = model_hash(compat.model_file(self.model))
        network.record.sd_checkpoint_name = compat.model_name(self.model) or None
        if not processes.agree((material.hash, self.start, network.record.sd_checkpoint)):
            raise ValueError(
                "The processes do not see the same pictures, words, model and state to go on "
                "from. Let nodes that write (sidecars, prepared folders) do so in a run of their "
                "own before, and give all processes the same folders."
            )
        if not processes.leads:
            return self.run_along(network, material, processes)
        run = Run(self.folder, self.file.stem, material.pictures, self.settings, self.keeping)
        manifest = self.manifest(network, material)
        began, learner = time.monotonic(), None
        try:
            with self.denoiser() as denoiser:
                network.to(denoiser.device)
                learner = Learner(network, self.settings)
                self.compare(run, manifest)
                self.begin(run, learner)
                run.describe(manifest)
                self.live.begin(run, read_course(run.folder), self.said, denoiser.device)
                session = Session(
                    learner=learner, run=run, previewer=previewer, say=self.say, live=self.live,
                    processes=processes,
                )  # fmt: skip
                session.learn(denoiser, material, self.start)
        finally:  # nothing of ours stays on the accelerator, whatever has happened
            for each in [network, learner.result] if learner else [network]:
                each.zero_grad(set_to_none=True)
                each.cpu()
            compat.free_memory()
        if self.live.control.stops:
            self.say(f"Ended after step {learner.done} of {self.settings.steps}, as you asked.")
        self.live.enter("finishing")
        picture = session.finish(self.file)
        session.keep(
            lambda: run.describe(manifest | {"seconds": round(time.monotonic() - began, 1)})
        )
        return learner.result, picture, run.losses()

    def denoiser(self) -> AbstractContextManager[Denoiser]:
        return open_denoiser(self.model, self.settings, self.say)

    def run_along(
        self, network: Hypernetwork, material: Material, processes: Processes
    ) -> tuple[Hypernetwork, Tensor, list[float]]:
        """What run gives, in a process that only helps: no file, a black preview, new losses."""
        try:
            with self.denoiser() as denoiser:
                network.to(denoiser.device)
                learner = Learner(network, self.settings)
                self.begin_weights(learner)
                if self.state is not None:
                    load_state(self.state, network, learner)
                losses = follow(learner, denoiser, material, processes)
        finally:
            network.cpu()
            compat.free_memory()
        width, height = material.size
        return learner.result.cpu(), torch.zeros(1, height, width, 3), losses

    def begin(self, run: Run, learner: Learner) -> None:
        """Put into it what the run, or the network before it, has learnt."""
        self.begin_weights(learner)
        for sentence in run.begin(learner.network, learner, self.state, self.start):
            self.say(sentence)

    def begin_weights(self, learner: Learner) -> None:
        if self.state is None and self.before is not None:
            for each in {id(n): n for n in (learner.network, learner.result)}.values():
                load_weights(each, self.before.state_dict())
            learner.network.record.step = self.before.record.step
            self.begin_optimizer(learner.optimizer)

    def begin_optimizer(self, optimizer) -> None:
        kind = type(optimizer).__name__
        found = open_optimizer(self.earlier, self.before)
        beside = optimizer_file(self.earlier).name
        if found is None:
            self.say(f'No "{beside}" belongs to the network; {kind} begins afresh.')
        elif found[0] != kind:
            self.say(f'"{beside}" is of {found[0]}; {kind} begins afresh.')
        else:
            load_optimizer(optimizer, found[1])

    def compare(self, run: Run, manifest: dict) -> None:
        """Say what this run does not learn from any more."""
        if self.state is None:
            return
        was = run.earlier_manifest()
        for what, name in (("dataset_hash", "pictures and words"), ("model_hash", "model")):
            if was.get(what) not in (None, manifest[what]):
                self.say(f"The {name} are not those that the run began with: {what} has changed.")

    def encode_in_turn(self, processes: Processes) -> tuple[Material, Previewer]:
        """The leading process encodes, the others find it on the disk."""
        if not processes.leads:
            processes.told()
        found = self.encode()
        if processes.leads:
            processes.told()
        return found

    def encode(self) -> tuple[Material, Previewer]:
        """Pictures and prompts, each once; then both encoders leave."""
        settings, preview = self.settings, self.preview
        try:
            if self.dataset is None:
                material = from_given(self.given, self.conditioning, self.previewed())
            else:
                material = from_dataset(
                    self.dataset, self.model, self.clip, self.vae,
                    name=self.file.stem, settings=settings, previewed=self.previewed(),
                )  # fmt: skip
            prompt = preview.prompt
            words = [Words(prompt, compat.conditioning(self.clip, prompt))] if prompt else []
            negative = compat.conditioning(self.clip, preview.negative)
        finally:
            leave(self.encoders, self.vae, self.clip)
        return material, Previewer(
            settings=preview,
            model=self.model,
            vae=self.vae,
            encoders=self.encoders,
            words=words or [material.words[place] for place in self.previewed()],
            steps=self.previewed_steps(),
            negative=negative,
            size=material.size,
            seed=settings.seed if preview.seed < 0 else preview.seed,
            graph=self.graph,
        )

    def previewed_steps(self) -> list[int]:
        """Steps after which there is a preview, in order; the last step counts."""
        last = max(self.settings.steps, self.start)
        return [n for n in range(self.start + 1, last) if self.preview.is_due(n)] + [last]

    def previewed(self) -> list[int]:
        """The first sample, by place in the stream, of each of these steps."""
        samples = self.settings.batch_size * self.settings.accumulation
        return [(step - 1) * samples for step in self.previewed_steps()]

    def manifest(self, network: Hypernetwork, material: Material) -> dict:
        return {
            "name": self.file.stem,
            "host": compat.host_name(),
            "model": network.record.sd_checkpoint_name,
            "model_hash": network.record.sd_checkpoint,
            "continue_from": self.earlier and self.earlier.name,
            "spec": asdict(network.spec),
            "preview": asdict(self.preview),
            "dataset": material.about,
            "dataset_hash": material.hash,
        }
