"""A training that was asked for: what must fit together, what it begins with, and what it leaves.

All that can be known to be wrong is said before any time is spent. Pictures and prompts are encoded
first, VAE and text encoder leave, then the UNet is trained on. Everything that matters is on disk
before the node returns. Where several processes train together, the leading one writes it.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from tqdm import tqdm

from hypernet.network.hypernetwork import Hypernetwork, Record
from hypernet.runs.history import read_course
from hypernet.runs.run import Run, check_disk
from hypernet.runs.standing import finished_entry, free_name
from hypernet.training.diffusion import Denoiser
from hypernet.training.learner import Learner
from hypernet.training.parallel import Processes, present
from hypernet.training.schedule import parse_schedule
from hypernet.training.settings import OWN, TrainSettings

from ... import compat
from ..use.load_save import network_file, runs_folder
from .asked import Asked
from .beginning import Beginning, continue_from, further, resume
from .encoders import leave
from .live import LiveRun, watched
from .material import Material, from_dataset, from_given
from .name_lock import held
from .previews import Previewer
from .run_naming import FURTHER, LOAD, RESUME, Found
from .run_search import Search
from .session import Session, follow
from .trained import Trained, give_back

log = logging.getLogger(__name__)


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
    """One training, from what was asked to the run folder. `said` is what the user should read."""

    asked: Asked
    live: LiveRun | None = None  # while it runs
    found: Found | None = None  # the name that it has, and what lies there
    beginning: Beginning = field(default_factory=Beginning)
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return runs_folder() / self.found.name

    def say(self, sentence: str) -> None:
        with tqdm.external_write_mode(sys.stderr):  # or it would end the line of the progress
            log.warning(sentence)
        self.said.append(sentence)
        if self.live is not None:
            self.live.say(sentence)

    def run(self) -> Trained:
        """A network whose file is written, or was before."""
        for sentence in self.asked.check():
            self.say(sentence)
        with self.named() as self.found:
            for sentence in self.found.said:
                self.say(sentence)
            if self.found.kind == LOAD:
                return self.give_back()
            if present().leads:
                self.beginning = self.begin_with()
            with watched(self.watched_as()) as self.live:
                return self.train()

    @contextmanager
    def named(self) -> Iterator[Found]:
        """What the leading process has found, its name held; the others are told."""
        if not present().leads:
            yield present().told()
            return
        asked = self.asked
        search = Search(wish=asked.wish, spec=asked.spec, pictures=lambda: asked.pictures)
        with held(search.plan, runs_folder()) as found:
            yield found

    def watched_as(self) -> LiveRun:
        asked = self.asked
        return LiveRun(
            name=self.found.name, asked=asked.name, node=asked.node, total=asked.settings.steps
        )

    def give_back(self) -> Trained:
        trained = give_back(self.asked, self.found.base)
        live = self.watched_as()
        live.course.step, live.stage = trained.network.record.step, "finished"
        live.tell()
        return trained

    def begin_with(self) -> Beginning:
        """What it begins with, and whether that can be: all that can be wrong with this name."""
        found, asked, steps = self.found, self.asked, self.asked.settings.steps
        if found.kind == RESUME:
            beginning = resume(self.folder, found.name, asked.spec, self.say)
        elif found.kind == FURTHER:
            beginning = further(found.base, asked.spec, steps, self.say)
        elif asked.before is not None:
            beginning = continue_from(asked.earlier, asked.before, asked.spec, steps)
        else:
            beginning = Beginning()
        start = beginning.step
        check_disk(self.folder, asked.spec, asked.settings, asked.keeping, start)
        if start > steps:
            self.say(f"The run has had {start} updates; steps {steps} is less.")
        elif start < steps:  # does the schedule reach that far?
            parse_schedule(asked.settings.learning_rate, steps, start)
        return beginning

    def train(self) -> Trained:
        processes = compat.gather_processes()
        if processes.leads:
            processes.told(self.found)
        else:
            self.beginning = self.begin_with()
        material, previewer = self.encode_in_turn(processes)
        network = Hypernetwork(self.asked.spec, Record(name=Path(self.found.name).name))
        network.record.sd_checkpoint = self.asked.request.model
        network.record.sd_checkpoint_name = compat.model_name(self.asked.model) or None
        if not processes.agree((material.hash, self.beginning.step, network.record.sd_checkpoint)):
            raise ValueError(
                "The processes do not see the same pictures, words, model and state to go on "
                "from. Let nodes that write (sidecars, prepared folders) do so in a run of their "
                "own before, and give all processes the same folders."
            )
        if not processes.leads:
            return self.run_along(network, material, processes)
        settings = self.asked.settings
        run = Run(self.folder, network.record.name, material.pictures, settings, self.asked.keeping)
        manifest = self.manifest(network, material)
        began, learner = time.monotonic(), None
        try:
            with self.denoiser() as denoiser:
                network.to(denoiser.device)
                learner = Learner(network, settings)
                self.compare(run, manifest)
                self.begin(run, learner)
                run.describe(manifest)
                self.live.begin(run, read_course(run.folder), self.said, denoiser.device)
                session = Session(
                    learner=learner, run=run, previewer=previewer, say=self.say, live=self.live,
                    processes=processes,
                )  # fmt: skip
                session.learn(denoiser, material, self.beginning.step)
        finally:  # nothing of ours stays on the accelerator, whatever has happened
            for each in [network, learner.result] if learner else [network]:
                each.zero_grad(set_to_none=True)
                each.cpu()
            compat.free_memory()
        if self.live.control.stops:
            self.say(f"Ended after step {learner.done} of {settings.steps}, as you asked.")
        self.live.enter("finishing")
        picture, file = session.finish(network_file(self.found.name), self.another_file)
        ended = {
            "seconds": round(time.monotonic() - began, 1),
            "finished": finished_entry(file, compat.network_folders()[0], learner.done),
        }
        session.keep(lambda: run.describe(manifest | ended))
        return Trained(
            network=learner.result, picture=picture, losses=run.losses(), file=file,
            said=f"Saved {file} after {learner.done} steps.",
        )  # fmt: skip

    def another_file(self) -> Path:
        """For a network whose name somebody has taken while it was trained."""
        folders = runs_folder(), compat.network_folders()
        return network_file(free_name(self.asked.name, {self.found.name}, *folders))

    def denoiser(self) -> AbstractContextManager[Denoiser]:
        return open_denoiser(self.asked.model, self.asked.settings, self.say)

    def run_along(self, network: Hypernetwork, material: Material, processes: Processes) -> Trained:
        """What run gives, in a process that only helps: no file, a black preview, new losses."""
        settings = self.asked.settings
        try:
            with self.denoiser() as denoiser:
                network.to(denoiser.device)
                learner = Learner(network, settings)
                self.beginning.put(learner, self.say)
                losses = follow(learner, denoiser, material, processes)
        finally:
            network.cpu()
            compat.free_memory()
        width, height = material.size
        picture = torch.zeros(1, height, width, 3)
        return Trained(
            network=learner.result.cpu(), picture=picture, losses=losses,
            file=network_file(self.found.name), said="",
        )  # fmt: skip

    def begin(self, run: Run, learner: Learner) -> None:
        """Put into it what the run, or the network before it, has learnt."""
        self.beginning.put_weights(learner, self.say)
        beginning = self.beginning
        for sentence in run.begin(learner.network, learner, beginning.state, beginning.step):
            self.say(sentence)

    def compare(self, run: Run, manifest: dict) -> None:
        """Say what this run does not learn from any more."""
        if self.beginning.state is None:
            return
        was = self.found.base.manifest
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
        asked, steps = self.asked, self.previewed_steps()
        places = asked.places(steps)
        try:
            if asked.given is not None:
                material = from_given(asked.given, asked.conditioning, places)
            else:
                material = from_dataset(
                    asked.dataset, asked.model, asked.clip, asked.vae,
                    name=asked.word, settings=asked.settings, previewed=places,
                )  # fmt: skip
            return material, asked.previewer(material.words, material.size, steps)
        finally:
            leave(asked.encoders, asked.vae, asked.clip)

    def previewed_steps(self) -> list[int]:
        """Steps after which there is a preview, in order; the last step counts."""
        start = self.beginning.step
        last = max(self.asked.settings.steps, start)
        return [n for n in range(start + 1, last) if self.asked.preview.is_due(n)] + [last]

    def manifest(self, network: Hypernetwork, material: Material) -> dict:
        asked, found = self.asked, self.found
        request = replace(asked.request, pictures=asked.pictures, begins_with=found.begins_with)
        return {
            "name": found.name,
            "asked": asked.name,
            "host": compat.host_name(),
            "model": network.record.sd_checkpoint_name,
            "model_hash": network.record.sd_checkpoint,
            "continue_from": asked.earlier and asked.earlier.name,
            "trained_further": found.base.name if found.kind == FURTHER else None,
            "spec": asdict(network.spec),
            "preview": asdict(asked.preview),
            "dataset": material.about,
            "dataset_hash": material.hash,
            "request": asdict(request),
        }
