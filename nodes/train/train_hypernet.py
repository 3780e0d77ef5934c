"""TrainHypernet: trains a network on a dataset and writes its file.

The node takes all inputs as lists, so that a list of latents gives one training, not many.
"""

import logging
from dataclasses import fields
from typing import Any

import torch

from hypernet.dataset.items import Dataset
from hypernet.runs.run import Keeping
from hypernet.training.auto import AutoSettings
from hypernet.training.parallel import present
from hypernet.training.presets import AUTO

from ... import compat
from ...compat import io
from ..shared.sockets import (
    CATEGORY,
    ConfigSocket,
    DatasetSocket,
    HypernetSocket,
    chosen_widgets,
    default,
    more_widgets,
)
from ..use.load_save import bare_path, find, found_by, known_names
from .asked import Asked, check_one_source
from .carry_out import run
from .encoders import CHOICES, TO_RAM
from .names.naming import ADD
from .names.naming import CHOICES as IF_TAKEN
from .names.queue import check_queue
from .notices import Notices
from .previews.settings import PreviewSettings, check_prompts

log = logging.getLogger(__name__)

NOTHING = "nothing"  # to continue from
# After all others, because workflows keep values by their places.
LATEST = (
    "preserve", "preserve_every", "preset", "strength_curve", "preserve_prompts",
    "regularization_weight", "averages",
)  # fmt: skip
LAST = ("cuda_graphs", "blocks_to_swap")
SHOWN_FIRST = ("steps", "learning_rate", "batch_size", "accumulation", "seed", "save_every")


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
            is_input_list=True,
            hidden=[io.Hidden.unique_id],
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
                    "name", default="my_style",
                    tooltip="Name of the file, with folders if you like: styles/ink. The last part "
                    "is [name] in templates. What is there is never overwritten: see if_taken.",
                ),
                *chosen_widgets(AutoSettings, SHOWN_FIRST),
                io.Boolean.Input(
                    "resume", default=True, advanced=True,
                    tooltip="Go on with an unfinished run of this name. Off: begin anew beside it.",
                ),
                io.String.Input(
                    "preview_prompt", default="", multiline=True,
                    tooltip="Prompt of the previews. Empty: the caption that is being learnt.",
                ),
                io.Int.Input(
                    "preview_steps", default=default(PreviewSettings, "steps"),
                    min=1, max=200, advanced=True,
                    tooltip="Sampling steps of the preview.",
                ),
                io.Float.Input(
                    "preview_cfg", default=default(PreviewSettings, "cfg"),
                    min=0.0, max=100.0, step=0.1, advanced=True,
                    tooltip="Guidance scale of the preview.",
                ),
                io.Latent.Input(
                    "latents", optional=True,
                    tooltip="Encoded pictures in place of a dataset: one latent or a list of them, "
                    "as Make Training Dataset gives.",
                ),
                io.Conditioning.Input(
                    "conditioning", optional=True,
                    tooltip="Encoded texts for the latents: one for each, or one for all.",
                ),
                io.Combo.Input(
                    "continue_from", options=[NOTHING, *known_names()], default=NOTHING,
                    optional=True, advanced=True,
                    tooltip="Begin with the weights and the step of this network, and its "
                    "optimizer state where a .optim belongs to it. Steps count on from there.",
                ),
                io.Int.Input(
                    "keep_last", default=default(Keeping, "keep_last"), min=0, max=100_000,
                    optional=True, advanced=True,
                    tooltip="Checkpoints that stay in the run folder, beside the best; 0 for all.",
                ),
                io.Boolean.Input(
                    "tensorboard", default=default(Keeping, "tensorboard"),
                    optional=True, advanced=True,
                    tooltip="Also write curves and previews for TensorBoard, if it is installed.",
                ),
                io.Int.Input(
                    "preview_every", default=default(PreviewSettings, "every"),
                    min=0, max=10_000_000, optional=True,
                    tooltip="Updates between previews while training; 0 for one at the end.",
                ),
                io.String.Input(
                    "preview_negative", default=default(PreviewSettings, "negative"),
                    multiline=True, optional=True, advanced=True,
                    tooltip="Negative prompt of the previews.",
                ),
                io.Int.Input(
                    "preview_seed", default=default(PreviewSettings, "seed"), min=-1, max=2**53,
                    control_after_generate=False, optional=True, advanced=True,
                    tooltip="Seed of the previews; −1 for that of the training.",
                ),
                io.Int.Input(
                    "preview_width", default=default(PreviewSettings, "width"),
                    min=0, max=8192, step=8, optional=True, advanced=True,
                    tooltip="Width of the previews in pixels; 0 for the training width.",
                ),
                io.Int.Input(
                    "preview_height", default=default(PreviewSettings, "height"),
                    min=0, max=8192, step=8, optional=True, advanced=True,
                    tooltip="Height of the previews in pixels; 0 for the training height.",
                ),
                *more_widgets(AutoSettings, (*SHOWN_FIRST, *LATEST, *LAST)),
                io.Combo.Input(
                    "encoders", options=list(CHOICES), default=TO_RAM,
                    optional=True, advanced=True,
                    tooltip="Where VAE and text encoder are while training: out of the way in RAM; "
                    "unloaded from there too, into a file that is read again when they are used; "
                    "or on the card, which saves a moment at every preview if memory allows.",
                ),
                io.Combo.Input(
                    "if_taken", options=list(IF_TAKEN), default=ADD, optional=True, advanced=True,
                    tooltip="When the name is taken by a network with other settings, pictures or "
                    "words: save this one with a number, as my_style_2; or begin with the network "
                    "that is there and train it up to steps, saved with a number, too; or stop. "
                    "With the same settings it is loaded, whatever this says.",
                ),
                *chosen_widgets(AutoSettings, LATEST, optional=True),
                DatasetSocket.Input(
                    "regularization", optional=True,
                    tooltip="Regularization pictures with captions of their own, such as other "
                    "dogs beside yours. One batch of them follows every second batch, for 1.5 "
                    "times the time.",
                ),
                io.String.Input(
                    "preview_prompts", default=default(PreviewSettings, "prompts"),
                    multiline=True, optional=True, advanced=True,
                    tooltip="More prompts for previews, one a line. All are drawn at each preview "
                    "and once without the network, as a grid. Flags as kohya writes them: "
                    "--n negative --w 512 --h 512 --d seed --l cfg --s steps; # begins a comment. "
                    "With an empty preview_prompt, the first line is the preview.",
                ),
                io.String.Input(
                    "preview_control", default=default(PreviewSettings, "control"),
                    multiline=True, optional=True, advanced=True,
                    tooltip="A prompt of something else, which should stay as it is without the "
                    "network. A row of the grid, marked as control. Empty: none.",
                ),
                *chosen_widgets(AutoSettings, LAST, optional=True),
            ],
            outputs=[
                HypernetSocket.Output("hypernet", display_name="hypernet"),
                io.Custom("LOSS_MAP").Output("loss_map", display_name="loss_map"),
                io.Image.Output("preview", display_name="preview"),
                io.String.Output("path", display_name="path"),
                io.Image.Output("grid", display_name="grid"),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls,
        name: list | None = None,
        learning_rate: list | None = None,
        continue_from: list | None = None,
        if_taken: list | None = None,
        preview_prompts: list | None = None,
        preview_control: list | None = None,
    ) -> bool | str:
        """Each argument is a list with one value, which is None if it comes from another node."""
        wanted, rate, network = only(name), only(learning_rate), only(continue_from)
        choice = only(if_taken) or ADD
        faults = compat.Faults()
        with faults.of("name"):
            if wanted is not None:
                bare_path(wanted)
        with faults.of("learning_rate"):
            AutoSettings(learning_rate=AUTO if rate is None else rate)
        with faults.of("continue_from"):
            if network not in (None, NOTHING):
                find(network)
        with faults.of("if_taken"):
            if choice not in IF_TAKEN:
                raise ValueError(f'if_taken "{choice}": choose one of {", ".join(IF_TAKEN)}.')
        with faults.of("preview_prompts"):
            check_prompts(prompts=only(preview_prompts) or "")
        with faults.of("preview_control"):
            check_prompts(control=only(preview_control) or "")
        if wanted is not None and faults.answer() is True:  # with faults it will not be queued
            with faults.of("name"):
                check_queue(bare_path(wanted), choice)
        return faults.answer()

    @classmethod
    def fingerprint_inputs(cls, continue_from: list | None = None, **others) -> str:
        """Time and size of the file that training continues from, so that a changed one counts.

        Hosts cache no result of an interrupted node, so an unfinished run is resumed when it is
        queued again.
        """
        network = only(continue_from)
        if network in (None, NOTHING):
            return ""
        stat = find(network).stat()
        return f"{stat.st_mtime_ns}/{stat.st_size}"

    @classmethod
    def execute(
        cls, latents: list | None = None, conditioning: list | None = None, **inputs
    ) -> io.NodeOutput:
        with torch.inference_mode(False):
            notices = Notices()
            asked = read_inputs(
                latents or [], conditioning or [], **one_of_each(inputs),
                node=str(cls.hidden.unique_id or ""), graph=graph_of(cls.hidden),
            )  # fmt: skip
            if note := found_note(only(inputs.get("continue_from"))):
                notices.say(note)
            trained = run(asked, notices)
        file = str(trained.file)
        out = trained.network, {"loss": trained.losses}, trained.picture, file, trained.grid
        if not present().leads:
            return io.NodeOutput(*out)
        shown = compat.ui.PreviewImage(trained.grid, cls=cls).as_dict()
        shown |= {"saved": [file], "text": ["\n".join([trained.said, *notices.said])]}
        log.info(trained.said)
        return io.NodeOutput(*out, ui=shown)


def found_note(network: str | None) -> str:
    """A note if the name of the network to continue from is spelt differently from the file's."""
    return "" if network in (None, NOTHING) else found_by(network)[0].note


def graph_of(hidden) -> dict[str, object]:
    """The graph, under the names that the host uses when it writes it into pictures."""
    graph = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}
    return {name: part for name, part in graph.items() if part}


def only(values: list | None) -> Any:
    """The single value of an input, or None. The host has checked its type."""
    return values[0] if values else None


def one_of_each(inputs: dict[str, list]) -> dict[str, Any]:
    """The inputs' single values. Raises ValueError if an input has several."""
    several = [f"{name} ({len(each)})" for name, each in inputs.items() if len(each) != 1]
    if several:
        raise ValueError(
            f"One network is trained at a time, but there are several of {', '.join(several)}. "
            "Only latents and conditioning may be lists."
        )
    return {name: values[0] for name, values in inputs.items()}


def read_inputs(
    latents: list, conditioning: list, *, model, clip, vae, config, name: str, node: str,
    graph: dict, dataset: Dataset | None = None, regularization: Dataset | None = None,
    resume: bool = True,
    continue_from: str = NOTHING, encoders: str = TO_RAM, if_taken: str = ADD, **settings,
) -> Asked:  # fmt: skip
    """What the inputs ask for. Raises ValueError or FileNotFoundError for invalid inputs.

    If several processes train together, the batch size is multiplied by their number.
    """
    check_one_source(dataset, latents, conditioning)
    preview = {key: settings.pop(key) for key in list(settings) if key.startswith("preview_")}
    kept = [field.name for field in fields(Keeping) if field.name in settings]
    settings["batch_size"] *= present().count
    return Asked(
        model=model, clip=clip, vae=vae, dataset=dataset, latents=latents,
        conditioning=conditioning, config=config, name=bare_path(name), resume=resume,
        if_taken=if_taken, encoders=encoders, node=node, graph=graph,
        preview=PreviewSettings(**{key.removeprefix("preview_"): preview[key] for key in preview}),
        keeping=Keeping(**{key: settings.pop(key) for key in kept}),
        wanted=AutoSettings(**settings),
        earlier=None if continue_from == NOTHING else find(continue_from),
        regularization=regularization,
    )  # fmt: skip
