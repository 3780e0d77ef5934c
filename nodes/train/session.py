"""Does what happens between updates: log, checkpoints, previews, and what users ask for.

Whatever ends the loop, everything trained so far is saved. The state is also saved before each
preview, because that is when memory may run out. A full disk or a failed preview does not end the
training.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image
from torch import Tensor

from hypernet.disk_space import NO_ROOM, DiskFull
from hypernet.formats.networks import save_network
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.pictures.grid import as_tensor
from hypernet.runs.average_choice import AverageChoice, choose_average
from hypernet.runs.preview_files import grid_file
from hypernet.runs.run import Run
from hypernet.runs.snapshots import holds_snapshots, snapshots_in
from hypernet.training.diffusion import Denoiser
from hypernet.training.learner import Learner
from hypernet.training.parallel import ALONE, Processes
from hypernet.training.probe import Probe
from hypernet.training.train import Step, train

from ... import compat
from .live import WHILE_PAUSED, LiveRun
from .material import Material
from .previews.drawing import Previewer, as_pixels
from .previews.grid import PreviewGrid

Drawn = TypeVar("Drawn")


@dataclass(kw_only=True)
class Session:
    learner: Learner
    run: Run
    previewer: Previewer
    say: Callable[[str], None]
    live: LiveRun
    processes: Processes = ALONE
    picture: Tensor | None = None  # the last preview
    pictured: int = -1  # the step that it shows
    drawn_for: int = -1  # the last step of the grid
    chosen: AverageChoice | None = None  # among the averages, if they are kept

    @property
    def done(self) -> int:
        return self.learner.done

    def learn(self, denoiser: Denoiser, material: Material, start: int) -> None:
        """Train until the steps or the schedule end, or the user stops.

        An interrupt is raised after everything is saved.
        """
        steps = train(
            self.learner, denoiser, material.batch_at, material.probe, self.processes,
            others=material.others, regularization=material.regularization,
        )  # fmt: skip
        stopped = False
        total, title = self.learner.settings.steps, f'Training "{self.live.name}"'
        progress = compat.Progress(total, done=start, title=title)
        try:
            if not start and self.previewer.settings.every:
                self.tried(lambda: self.draw_and_save(None, 0))
            began = time.monotonic()
            for step in steps:
                self.tell_first_probe(start)
                ended = time.monotonic()
                self.live.pace.update_took(ended - began)
                picture = self.after(step)
                progress.beside(f"loss {self.live.loss:.4g}, rate {step.rate:.3g}")
                progress.update(step.done, picture)
                self.live.pace.between_took(time.monotonic() - ended)
                if stopped := self.processes.any(not self.goes_on()):
                    break
                began = time.monotonic()
        except (Exception, compat.Interrupted):  # Ctrl-C may come in the middle of an update
            if self.done not in (self.run.saved_step, start):
                self.keep(self.save_all)
            raise
        finally:
            progress.close()
        if compat.is_interrupted() or (stopped and not self.live.control.stops):
            self.keep(self.save_all)
            compat.raise_if_interrupted()
            raise compat.Interrupted("Another process was stopped.")
        self.keep(self.save_state)
        if material.probe is not None and self.learner.powers is not None:
            self.choose_average(denoiser, material.probe)

    def choose_average(self, denoiser: Denoiser, probe: Probe) -> None:
        """Let the probe choose among the averages. Whatever fails, the network is still saved."""
        if not holds_snapshots(self.run.folder):
            return  # the run was stopped before the first of them
        try:
            snapshots = snapshots_in(self.run.folder)
            self.chosen = choose_average(snapshots, self.learner, denoiser, probe)
        except Exception as fault:  # usually out of memory, but models raise any kind
            self.say(f"No average was chosen: {fault}")
        else:
            self.say(self.chosen.about)

    def goes_on(self) -> bool:
        """Do what users have asked for, and wait while paused. Returns False to end training."""
        control = self.live.control
        if control.is_paused and self.run.saved_step != self.done:
            self.keep(self.save_state)
        while not (compat.is_interrupted() or control.stops):
            if control.takes_save():
                self.keep(self.save_all)
                self.say(f"Saved after step {self.done}, as you asked.")
                self.live.tell()
            if not control.is_paused:
                control.go_on()
                return True
            if control.hold(WHILE_PAUSED):
                self.live.tell()
        return False

    def after(self, step: Step) -> Image.Image | None:
        """Log the step, save what is due, and return a preview if one is due."""
        self.run.note(step)
        self.live.update(step)
        for sentence in step.notes:
            self.say(sentence)
        if (score := step.probe) is not None:
            self.keep(lambda: self.run.save_best(self.learner.result, score))
        self.keep(lambda: self.run.save_due_averages(self.learner))
        every = self.learner.settings.save_every
        if every and step.done % every == 0:
            self.keep(self.save_all)
        if not self.previewer.settings.is_due(step.done):
            return None
        if self.run.saved_step != step.done:
            self.keep(self.save_state)
        shown = self.tried(lambda: Image.fromarray(as_pixels(self.draw())))
        if self.previewer.settings.has_grid:
            return self.tried(self.draw_grid) or shown
        return shown

    def tried(self, draw: Callable[[], Drawn]) -> Drawn | None:
        try:
            return draw()
        except Exception as fault:  # usually out of memory, but hosts and samplers raise any kind
            self.say(f"There is no preview after step {self.done}: {fault}")
            return None

    def tell_first_probe(self, start: int) -> None:
        """Show the first probe, which was measured before training and is in no Step."""
        first = self.learner.health.first_loss
        if first is not None and not self.live.history.probe.buckets:
            self.live.see(start, probe=first)

    def save_all(self) -> None:
        self.run.save(self.learner.network, self.learner, self.learner.result)

    def save_state(self) -> None:
        self.run.save_state(self.learner.network, self.learner)

    def draw(self) -> Tensor:
        """Draw a preview with the network as it is now, and save it."""
        picture = self.draw_and_save(self.learner.result, self.done)
        self.picture, self.pictured = picture, self.done
        return picture

    def draw_and_save(self, network: Hypernetwork | None, step: int) -> Tensor:
        """network: None for the model alone, which is what the others are compared to."""
        drawn = network, self.previewer.first, step
        picture = self.previewer.draw(*drawn)
        texts = self.previewer.texts(*drawn, picture)
        self.keep(lambda: self.run.save_preview(as_pixels(picture), step, texts))
        self.live.tell()
        return picture

    @property
    def grid(self) -> PreviewGrid:
        return PreviewGrid(previewer=self.previewer, folders=[self.run.folder], name=self.run.name)

    def draw_grid(self) -> Image.Image:
        """Draw the other prompts with the network as it is now, and save the grid of all."""

        def save(path: Path, picture: Tensor, texts: dict[str, str]) -> None:
            self.run.save_picture(path, Image.fromarray(as_pixels(picture)), texts)

        network, grid = self.learner.result, self.grid
        if self.drawn_for != self.done:
            grid.draw(network, save, self.say, anew=True)
            self.drawn_for = self.done
        sheet, file = grid.sheet(self.done), grid_file(self.run.folder)
        self.keep(lambda: self.run.save_picture(file, sheet, grid.texts(network)))
        return sheet

    def finish(self, file: Path, another: Callable[[], Path]) -> tuple[Tensor, Tensor, Path]:
        """Draw the last preview and write the network's file. Returns preview, grid and file.

        Without more prompts the grid is the preview. The file is another() if the name was taken
        meanwhile. The state is saved already, so an interrupt loses nothing.
        """
        try:
            drawn = self.picture if self.pictured == self.done else None
            picture = grid = self.draw() if drawn is None else drawn
            if self.previewer.settings.has_grid:
                grid = as_tensor(self.draw_grid())
        except Exception as fault:
            file = self.save(file, another)
            raise RuntimeError(f"{file} is saved, only its preview failed: {fault}") from fault
        return picture, grid, self.save(file, another)

    def save(self, file: Path, another: Callable[[], Path]) -> Path:
        try:
            try:
                save_network(self.learner.result, file)
            except FileExistsError:
                taken, file = file, another()
                save_network(self.learner.result, file)
                self.say(
                    f'"{taken.name}" was there before this training ended, and is kept: this one '
                    f'is saved as "{file.name}".'
                )
            if self.learner.settings.save_optimizer:
                self.keep(lambda: self.run.save_optimizer(file, self.learner))
        except OSError as fault:
            advice = "Make room and queue it again."
            if fault.errno not in NO_ROOM:
                advice = "See that its folder can be written, and queue it again."
            raise OSError(
                f"{file} was not saved: {fault.strerror or fault}. Its run in {self.run.folder} "
                f"is whole until step {self.run.saved_step}. {advice}"
            ) from fault
        return file

    def keep(self, save: Callable[[], object]) -> None:
        """Save. If the disk is full, tell the user and go on."""
        try:
            save()
        except DiskFull as fault:
            self.say(str(fault))


def follow(
    learner: Learner, denoiser: Denoiser, material: Material, processes: Processes
) -> list[float]:
    """Train along with the leading process, which has the Session. Returns all losses."""
    losses = []
    steps = train(
        learner, denoiser, material.batch_at, material.probe, processes,
        others=material.others, regularization=material.regularization,
    )  # fmt: skip
    for step in steps:
        losses.append(step.loss)
        if processes.any(compat.is_interrupted()):
            compat.raise_if_interrupted()
            raise compat.Interrupted("Another process was stopped.")
    return losses
