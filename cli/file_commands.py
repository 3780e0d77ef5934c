"""The subcommands of `hypernet` that work on files: convert, merge, average, to-lora, …

Each has a parser, and a function that takes its arguments and returns the text to print. Failures
are raised as ValueError, OSError or ImportError with a message for the user. A `.hns` finds its
networks in its own folder and in the models folder.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hypernet.apply.effect import Effect
from hypernet.apply.fit import check_fit, in_words
from hypernet.apply.lora_file import save_lora, to_lora
from hypernet.apply.prompt_tags import take_out_tags
from hypernet.atomic_files import write_whole
from hypernet.disk_space import as_size
from hypernet.formats.hns import Network
from hypernet.formats.networks import open_network, save_network, suffix_for
from hypernet.network.for_model import read_places, usual_structure
from hypernet.network.spec import parse_structure, read_widths
from hypernet.pictures.grid import as_image
from hypernet.runs.average_choice import find_run, make_average
from hypernet.text.file_names import check_name
from hypernet.text.parsing import single_number_in
from hypernet.tools import compare, convert, estimate, merge
from hypernet.tools.known_models import KNOWN
from hypernet.tools.report import describe, report_text

from ..compat.standalone import folders
from ..compat.standalone.model import models
from ..compat.standalone.model.stored_blocks import read_blocks

log = logging.getLogger(__name__)

Command = Callable[[argparse.Namespace], str]
NETWORK = "a network: its name in models/hypernetworks, or its path"
NEW = "the new file: ends in .pt or .safetensors; never overwritten"
MODEL = "diffusers folder or .safetensors: its name in models/checkpoints, or its path"


def add_parsers(commands: Any) -> dict[str, Command]:
    """Add the parsers. Returns the function of each command by name."""
    add_convert_parser(commands)
    add_merge_parser(commands)
    add_average_parser(commands)
    add_to_lora_parser(commands)
    add_compare_parser(commands)
    add_estimate_parser(commands)
    return {
        "convert": convert_file,
        "merge": merge_files,
        "average": average_run,
        "to-lora": write_lora,
        "compare": compare_files,
        "estimate": estimate_size,
    }


def add_convert_parser(commands: Any) -> None:
    add = commands.add_parser("convert", help="write a network in another form")
    add.add_argument("file", metavar="FILE", help=NETWORK)
    add.add_argument("out", metavar="OUT", help=NEW)
    add.add_argument(
        "--numbers", choices=convert.NUMBERS, default="float32",
        help="how each number is stored (default: float32)",
    )  # fmt: skip
    add.add_argument(
        "--keep", default="", metavar="WIDTHS",
        help="the attention widths to keep, such as 768,1280 (default: all)",
    )  # fmt: skip
    add.add_argument(
        "--add", default="", metavar="WIDTHS",
        help="attention widths to add, which do nothing until trained (default: none)",
    )  # fmt: skip
    add.add_argument(
        "--one-matrix", action="store_true",
        help="write a linear network as structure 1, 1 (default: as it is)",
    )  # fmt: skip
    add.add_argument(
        "--for-core", action="store_true",
        help="change or refuse what ComfyUI's own loader draws wrong (default: as it is)",
    )  # fmt: skip


def add_merge_parser(commands: Any) -> None:
    add = commands.add_parser("merge", help="make one network out of several")
    add.add_argument("out", metavar="OUT", help=NEW)
    add.add_argument("files", metavar="FILE", nargs="+", help=NETWORK)
    add.add_argument("--factors", metavar="NUMBERS", help="one per file (default: equal parts)")
    methods = [name.replace(" ", "-") for name in merge.MERGES]
    add.add_argument(
        "--method", choices=methods, default="weighted",
        help="how they become one (default: weighted)",
    )  # fmt: skip


def add_average_parser(commands: Any) -> None:
    add = commands.add_parser("average", help="make an average of a run's weights over its updates")
    add.add_argument("run", metavar="RUN", help="its name in ./output/hypernet, or its folder")
    add.add_argument(
        "--width", type=number, default=0.0, metavar="NUMBER",
        help="over which part of the run it averages, such as 0.1 (default: what the run chose)",
    )  # fmt: skip
    add.add_argument(
        "--to", metavar="FILE",
        help="never overwritten (default: RUN_average in models/hypernetworks)",
    )  # fmt: skip


def add_to_lora_parser(commands: Any) -> None:
    add = commands.add_parser("to-lora", help="write a linear network as a LoRA of a model")
    add.add_argument("file", metavar="FILE", help=NETWORK)
    add.add_argument(
        "out", metavar="OUT", help="the new file: ends in .safetensors; never overwritten"
    )
    add.add_argument("--model", required=True, metavar="CHECKPOINT", help=MODEL)
    add.add_argument(
        "--strength", type=number, default=1.0, metavar="NUMBER",
        help="the network's, as in Apply Hypernet (default: 1)",
    )  # fmt: skip
    add.add_argument(
        "--rank", type=int, default=0, metavar="N",
        help="the LoRA's; 0 keeps the whole differences (default: 0)",
    )  # fmt: skip
    add.add_argument(
        "--numbers", choices=("float16", "float32"), default="float16",
        help="how each number is stored (default: float16)",
    )  # fmt: skip


def add_compare_parser(commands: Any) -> None:
    add = commands.add_parser("compare", help="draw networks at several strengths in one picture")
    add.add_argument("out", metavar="OUT", help="the new picture: ends in .png; never overwritten")
    add.add_argument("files", metavar="FILE", nargs="+", help=NETWORK)
    add.add_argument("--model", required=True, metavar="CHECKPOINT", help=MODEL)
    add.add_argument("--prompt", required=True, metavar="TEXT", help="what the pictures show")
    add.add_argument(
        "--negative", default="", metavar="TEXT", help="what they do not show (default: empty)"
    )
    add.add_argument(
        "--strengths", default="0, 0.5, 1", metavar="NUMBERS",
        help="a column for each (default: 0, 0.5, 1)",
    )  # fmt: skip
    for side in ("width", "height"):
        add.add_argument(
            f"--{side}", type=int, default=512, metavar="PIXELS",
            help=f"the {side} of each picture (default: 512)",
        )  # fmt: skip
    add.add_argument(
        "--steps", type=int, default=20, metavar="N", help="denoising steps (default: 20)"
    )
    add.add_argument(
        "--cfg", type=number, default=7.0, metavar="NUMBER",
        help="how strongly the prompt is followed (default: 7)",
    )  # fmt: skip
    add.add_argument(
        "--seed", type=int, default=0, metavar="N", help="what the noise is made from (default: 0)"
    )


def add_estimate_parser(commands: Any) -> None:
    add = commands.add_parser(
        "estimate", help="say how large a network would be, and what memory it needs"
    )
    add.add_argument("structure", metavar="STRUCTURE", help='such as "1, 2, 1", or auto')
    add.add_argument(
        "--widths", default="", metavar="WIDTHS",
        help="attention widths, such as 768,320 (default: those of the model)",
    )  # fmt: skip
    add.add_argument("--model", choices=KNOWN, default="sd15", help="its kind (default: sd15)")
    add.add_argument(
        "--places", default="", metavar="PLACES",
        help="streams of a transformer, such as image,joint (default: the usual ones)",
    )  # fmt: skip
    add.add_argument(
        "--groups", type=int, default=1, metavar="N",
        help="parts of a transformer's depth with weights of their own (default: 1)",
    )  # fmt: skip
    add.add_argument("--layer-norm", action="store_true", help="with layer norm (default: without)")


def number(text: str) -> float:
    """The type of a number argument: accepts 0,8 for 0.8, and only finite numbers."""
    if (found := single_number_in(text)) is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number, such as 0.8')
    return found


def convert_file(arguments: argparse.Namespace) -> str:
    network = convert.with_widths(
        opened(arguments.file), keep=read_widths(arguments.keep), add=read_widths(arguments.add)
    )
    record = network.record
    if arguments.one_matrix:
        network = merge.in_sequence([(network, 1.0)], record.name)
        network.record = record
    if arguments.for_core:
        network = convert.for_core(network)
    path = save_network(network, out_of(arguments), dtype=convert.NUMBERS[arguments.numbers])
    return report_text(describe(path))


def merge_files(arguments: argparse.Namespace) -> str:
    count = len(arguments.files)
    if arguments.factors is None:
        factors = (1 / count,) * count
    else:
        factors = merge.read_factors(arguments.factors, count)
    parts = list(zip(map(opened, arguments.files), factors, strict=True))
    method = merge.MERGES[arguments.method.replace("-", " ")]
    path = save_network(method(parts, Path(arguments.out).stem), out_of(arguments))
    return report_text(describe(path))


def average_run(arguments: argparse.Namespace) -> str:
    folder = Path(arguments.run)
    if not folder.is_dir():
        folder = find_run(arguments.run, folders.output_folder() / "hypernet")
    out = arguments.to and named(arguments.to)
    name = out.stem if out else f"{folder.name}_average"
    average = make_average(folder, arguments.width, name)
    if out is None:
        out = folders.network_folders()[0] / f"{name}{suffix_for(average.network.spec)}"
    path = save_network(average.network, out)
    return f"{average.about}\n{report_text(describe(path))}"


def write_lora(arguments: argparse.Namespace) -> str:
    lora = to_lora(
        read_blocks(folders.find_checkpoint(arguments.model, log.warning)),
        opened(arguments.file),
        arguments.strength,
        rank=arguments.rank,
        numbers=arguments.numbers,
    )
    path = save_lora(lora, out_of(arguments))
    return (
        f"{path}: {as_size(path.stat().st_size)}, relative error of its matrices {lora.error:.2g}"
    )


@torch.inference_mode()
def compare_files(arguments: argparse.Namespace) -> str:
    from ..compat.standalone.model.checkpoint import load_checkpoint

    out, strengths = out_of(arguments), compare.read_strengths(arguments.strengths)
    check_sheet(out, arguments.width, arguments.height)
    networks = [opened(file) for file in arguments.files]
    model, clip, vae = load_checkpoint(folders.find_checkpoint(arguments.model, log.warning))
    prompts, taken_out = zip(
        *map(take_out_tags, (arguments.prompt, arguments.negative)), strict=True
    )
    words = [models.conditioning(clip, text) for text in prompts]
    fits = models.attention_widths(model), models.architecture(model)
    warnings = [check_fit(network, *fits) for network in networks]
    if tags := [tag for each in taken_out for tag in each]:
        warnings.append(f"Taken out of the prompts: {' '.join(tags)}.")
    wanted = {
        name: getattr(arguments, name) for name in ("width", "height", "seed", "steps", "cfg")
    }

    def draw(network: Network | None, strength: float) -> torch.Tensor:
        patched = model
        if network:
            patched = models.with_network(model, network, Effect(strength=strength))
        return models.generate(patched, vae, *words, **wanted)[0]

    (sheet,) = compare.compared(networks, strengths, draw)
    picture = as_image(sheet)
    write_whole(out, lambda file: picture.save(file, "PNG"), overwrite=False)
    return "\n".join(
        [*dict.fromkeys(filter(None, warnings)), f"{out}: {picture.width}×{picture.height}"]
    )


def check_sheet(out: Path, width: int, height: int) -> None:
    """Check the output before anything is drawn, because drawing takes minutes."""
    if out.suffix.lower() != ".png":
        raise ValueError(f'"{out.name}": a comparison is a picture whose name ends in ".png".')
    if out.exists():
        raise FileExistsError(f'"{out}" exists and is kept. Choose another name.')
    if min(width, height) < 16 or width % 8 or height % 8:
        raise ValueError(f"Pictures of {width}×{height}: sides are multiples of 8, at least 16.")


def estimate_size(arguments: argparse.Namespace) -> str:
    model = KNOWN[arguments.model]
    structure = usual_structure(model.streams)
    if arguments.structure.strip().lower() != "auto":
        structure = parse_structure(arguments.structure)
    places, settings = read_places(arguments.places), {"layer_norm": arguments.layer_norm}
    if widths := read_widths(arguments.widths):
        settings["widths"] = widths
    spec = model.network(structure, places, arguments.groups, **settings)
    lines = [estimate.estimate_text(estimate.estimate(spec))]
    if spec.places:
        lines.append(f"places       {in_words(set(spec.places))}")
        halves, eighths = (as_size(model.weights(bits)) for bits in (16, 8))
        lines.append(f"the model    {halves} in bfloat16, {eighths} in 8 bits")
    return "\n".join(lines)


def out_of(arguments: argparse.Namespace) -> Path:
    return named(arguments.out)


def named(path: str) -> Path:
    """The output path. Raises ValueError if some system can't have a file of this name."""
    out = Path(path)
    check_name(out.name)
    return out


def opened(file: str) -> Network:
    """The network in a file. file: a path, or a name in models/hypernetworks."""
    return open_network(folders.find_network(file, log.warning), folders.network_folders())
