"""The result of a training: trained just now, or loaded from a finished run of the same request."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hypernet.formats.networks import open_network
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.runs.history import LOG, logged
from hypernet.runs.request import is_over
from hypernet.runs.run import preview_file
from hypernet.runs.standing import Standing

from ... import compat
from .asked import Asked
from .encoders import leave
from .material import EncodedPrompt, given_size, given_words, shown_words
from .run_naming import GO_ON

BESIDE = {"every": None, "taken_out": None}  # preview settings that do not change the picture


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network and its outputs. said: a sentence on how it was made."""

    network: Hypernetwork
    picture: Tensor  # IMAGE, the last preview
    losses: list[float]
    file: Path
    said: str


def give_back(asked: Asked, base: Standing) -> Trained:
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
    picture = stored_preview(asked, base, done)
    if picture is None:
        picture = draw_anew(asked, base, network)
    losses = [loss for _, loss, _ in logged(base.folder / LOG)]
    return Trained(network=network, picture=picture, losses=losses, file=file, said=said)


def stored_preview(asked: Asked, base: Standing, done: int) -> Tensor | None:
    """The run's last preview; None if its settings were others, or it cannot be read."""
    had, wanted = dict(base.manifest.get("preview", {})), asdict(asked.preview)
    if had | BESIDE != wanted | BESIDE:
        return None
    try:
        with Image.open(preview_file(base.folder, base.folder.name, done)) as picture:
            pixels = np.array(picture.convert("RGB"))
    except OSError:
        return None
    return torch.from_numpy(pixels).float().div_(255)[None]


def draw_anew(asked: Asked, base: Standing, network: Hypernetwork) -> Tensor:
    """Draw the last preview again, with the settings of now. Nothing is saved."""
    steps = [network.record.step]
    try:
        previewer = asked.previewer(*shown(asked, asked.places(steps)), steps)
    finally:
        leave(asked.encoders, asked.vae, asked.clip)
    try:
        return previewer.draw(network, previewer.words_after(steps[0]))
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
