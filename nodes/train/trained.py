"""The result of a training: trained just now, or loaded from a finished run of the same request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from torch import Tensor

from hypernet.formats.networks import open_network
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.pictures.grid import as_tensor
from hypernet.runs.history import LOG, logged
from hypernet.runs.preview_files import grid_file, preview_file, read_about, write_picture
from hypernet.runs.request import is_over
from hypernet.runs.standing import Standing

from ... import compat
from .asked import Asked
from .encoders import leave
from .material import EncodedPrompt, given_size, given_words, shown_words
from .names.naming import GO_ON
from .previews.drawing import as_pixels
from .previews.grid import PreviewGrid, opened
from .previews.settings import PreviewPrompt, PreviewSettings

Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network and its outputs. said: a sentence on how it was made."""

    network: Hypernetwork
    picture: Tensor  # IMAGE, the last preview
    grid: Tensor  # IMAGE, the grid of all previews; the last one if there is no grid
    losses: list[float]
    file: Path
    said: str


def give_back(asked: Asked, base: Standing, say: Say) -> Trained:
    """Load the network of a finished run that has the same request."""
    file = base.file
    assert file is not None  # a finished run has its file
    network = open_network(file, compat.network_folders())
    assert isinstance(network, Hypernetwork)  # training never writes a tree
    done = network.record.step
    said = f'"{base.name}" is trained already ({done} updates): loaded.'
    if not is_over(asked.request, done):
        said = (
            f'"{base.name}" is trained already, and was stopped after {done} of '
            f'{asked.settings.steps} updates: loaded. With if_taken "{GO_ON}" the rest is trained.'
        )
    picture, grid = stored_pictures(asked, base, done)
    if picture is None or grid is None:
        picture, grid = draw_anew(asked, base, network, picture, say)
    losses = [loss for _, loss, _ in logged(base.folder / LOG)]
    return Trained(network=network, picture=picture, grid=grid, losses=losses, file=file, said=said)


def stored_pictures(asked: Asked, base: Standing, done: int) -> tuple[Tensor | None, Tensor | None]:
    """The run's last preview and its grid; None if it shows something else, or is damaged."""
    had, wanted = rows_of(base.manifest), asked.preview.rows
    if had[:1] != wanted[:1]:
        return None, None
    picture = stored(preview_file(base.folder, base.folder.name, done))
    if not asked.preview.has_grid:
        return picture, picture
    file = grid_file(base.folder)
    about = read_about(file)
    is_whole = had == wanted and (about.get("step"), about.get("lacking")) == (done, 0)
    return picture, stored(file) if is_whole else None


def rows_of(manifest: Mapping[str, Any]) -> tuple[PreviewPrompt, ...]:
    """What the run's previews show; () if the manifest does not say so."""
    had = manifest.get("preview")
    if not isinstance(had, dict):
        return ()
    names = [each.name for each in fields(PreviewSettings) if each.init]
    try:
        return PreviewSettings(**{name: had[name] for name in names if name in had}).rows
    except (TypeError, ValueError, AttributeError):
        return ()


def stored(file: Path) -> Tensor | None:
    picture = opened(file)
    return None if picture is None else as_tensor(picture)


def draw_anew(
    asked: Asked, base: Standing, network: Hypernetwork, picture: Tensor | None, say: Say
) -> tuple[Tensor, Tensor]:
    """Draw what lacks of the last preview and the grid, with the settings of now.

    Nothing is saved: what is drawn for the grid lies in a folder that is removed afterwards.
    """
    steps = [network.record.step]
    try:
        previewer = asked.previewer(*shown(asked, asked.places(steps)), steps)
    finally:
        leave(asked.encoders, asked.vae, asked.clip)

    def save(path: Path, picture: Tensor, texts: dict[str, str]) -> None:
        write_picture(path, Image.fromarray(as_pixels(picture)), texts)

    with TemporaryDirectory() as scratch:
        folders = [Path(scratch), base.folder]
        grid = PreviewGrid(previewer=previewer, folders=folders, name=base.folder.name)
        try:
            if picture is None:
                drawn = network, previewer.first, steps[0]
                picture = previewer.draw(*drawn)
                file = grid.file(previewer.first, steps[0], folders[0])
                save(file, picture, previewer.texts(*drawn, picture))
            if not asked.preview.has_grid:
                return picture, picture
            grid.draw(network, save, say, anew=False)
            return picture, as_tensor(grid.sheet(steps[0]))
        except Exception as fault:
            raise RuntimeError(f"{base.file} is there, only its preview failed: {fault}") from fault


def shown(asked: Asked, places: list[int]) -> tuple[dict[int, EncodedPrompt], tuple[int, int]]:
    """(the prompts of these samples, the size of a preview)."""
    if asked.given is not None:
        words = given_words(asked.given, asked.conditioning, places)
        return words, given_size(asked.given, asked.model)
    dataset = asked.dataset
    assert dataset is not None  # check_one_source has checked
    words = shown_words(dataset, asked.clip, asked.word, asked.settings, places)
    return words, (dataset.width, dataset.height)
