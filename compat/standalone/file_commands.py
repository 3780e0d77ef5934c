"""The subcommands of `hypernet` that make files out of files: convert, merge, to-lora, estimate.

Each is a parser and a function of its arguments that gives the text to print. What cannot be done
is raised as ValueError or OSError, in words.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ...hypernet import convert, estimate, merge
from ...hypernet.files import open_network, save_network
from ...hypernet.fold import AttentionWeights, attention_names, save_lora, to_lora
from ...hypernet.report import as_text, describe
from ...hypernet.run import in_words
from ...hypernet.spec import SD1_WIDTHS, HypernetSpec, parse_structure

Command = Callable[[argparse.Namespace], str]


def add_parsers(commands: Any) -> dict[str, Command]:
    """Name of each command -> what it does."""
    add = commands.add_parser("convert", help="write a network in another form")
    add.add_argument("file", metavar="FILE")
    add.add_argument("out", metavar="OUT", help="ends in .pt or .safetensors; never overwritten")
    add.add_argument("--numbers", choices=convert.NUMBERS, default="float32")
    add.add_argument("--keep", default="", metavar="WIDTHS", help="such as 768,1280")
    add.add_argument("--add", default="", metavar="WIDTHS", help="new ones that do nothing yet")
    add.add_argument("--one-matrix", action="store_true", help="a linear network as structure 1, 1")
    add.add_argument(
        "--for-core", action="store_true", help="only what ComfyUI's own loader draws right"
    )

    add = commands.add_parser("merge", help="make one network out of several")
    add.add_argument("out", metavar="OUT", help="ends in .pt or .safetensors; never overwritten")
    add.add_argument("files", metavar="FILE", nargs="+")
    add.add_argument("--factors", metavar="NUMBERS", help="one per file; default: equal parts")
    methods = [name.replace(" ", "-") for name in merge.MERGES]
    add.add_argument("--method", choices=methods, default="weighted")

    add = commands.add_parser("to-lora", help="write a linear network as a LoRA of a model")
    add.add_argument("file", metavar="FILE")
    add.add_argument("out", metavar="OUT", help="ends in .safetensors; never overwritten")
    add.add_argument(
        "--model", required=True, metavar="CHECKPOINT", help="diffusers folder or .safetensors"
    )
    add.add_argument("--strength", type=float, default=1.0)
    add.add_argument("--rank", type=int, default=0, help="0 (the default): whole differences")
    add.add_argument("--numbers", choices=("float16", "float32"), default="float16")

    add = commands.add_parser("estimate", help="foretell size and memory of a network")
    add.add_argument("structure", metavar="STRUCTURE", help='such as "1, 2, 1"')
    add.add_argument("--widths", default="", metavar="WIDTHS", help="default: those of SD 1")
    add.add_argument("--layer-norm", action="store_true")
    return {
        "convert": convert_file,
        "merge": merge_files,
        "to-lora": write_lora,
        "estimate": estimate_size,
    }


def convert_file(arguments: argparse.Namespace) -> str:
    network = convert.with_widths(
        open_network(arguments.file), keep=widths(arguments.keep), add=widths(arguments.add)
    )
    record = network.record
    if arguments.one_matrix:
        network = merge.in_sequence([(network, 1.0)], record.name)
        network.record = record
    if arguments.for_core:
        network = convert.for_core(network)
    path = save_network(network, arguments.out, dtype=convert.NUMBERS[arguments.numbers])
    return as_text(describe(path))


def merge_files(arguments: argparse.Namespace) -> str:
    count = len(arguments.files)
    if arguments.factors is None:
        factors = (1 / count,) * count
    else:
        factors = parse_structure(arguments.factors)
    if len(factors) != count:
        raise ValueError(f'"{arguments.factors}": {len(factors)} factors for {count} files.')
    parts = list(zip(map(open_network, arguments.files), factors, strict=True))
    method = merge.MERGES[arguments.method.replace("-", " ")]
    path = save_network(method(parts, Path(arguments.out).stem), arguments.out)
    return as_text(describe(path))


def write_lora(arguments: argparse.Namespace) -> str:
    lora = to_lora(
        read_blocks(Path(arguments.model)),
        open_network(arguments.file),
        arguments.strength,
        rank=arguments.rank,
        numbers=arguments.numbers,
    )
    path = save_lora(lora, arguments.out)
    return (
        f"{path}: {in_words(path.stat().st_size)}, relative error of its matrices {lora.error:.2g}"
    )


def estimate_size(arguments: argparse.Namespace) -> str:
    spec = HypernetSpec(
        widths=widths(arguments.widths) or SD1_WIDTHS,
        layer_structure=parse_structure(arguments.structure),
        layer_norm=arguments.layer_norm,
    )
    return estimate.as_text(estimate.estimate(spec))


def widths(text: str) -> tuple[int, ...]:
    numbers = parse_structure(text) if text.strip() else ()
    if any(not isinstance(number, int) or number < 1 for number in numbers):
        raise ValueError(f'Widths "{text}": give whole numbers above 0, such as 768, 1280.')
    return numbers


# The attention of a checkpoint on the disk


def read_blocks(checkpoint: Path) -> Iterator[AttentionWeights]:
    """The attention blocks of a diffusers folder or of a single .safetensors file.

    Raises FileNotFoundError or ValueError for what is neither.
    """
    with ExitStack() as stack:
        places: dict[str, tuple[Any, str]] = {}  # diffusers' name -> open file, its name there
        for path in weight_files(checkpoint):
            try:
                file = stack.enter_context(safe_open(path, "pt"))
            except SafetensorError as fault:
                raise ValueError(f'"{path}" is damaged: {str(fault)[:200]}.') from fault
            places |= {diffusers_name(name): (file, name) for name in file.keys()}
        names = attention_names(places)
        if not names:
            raise ValueError(f'"{checkpoint}" holds no UNet of Stable Diffusion 1, 2 or XL.')

        def weight(name: str) -> torch.Tensor:
            file, stored = places[name]
            return file.get_tensor(stored).float()

        for name in names:
            yield AttentionWeights(
                name=name,
                keys=weight(f"{name}.to_k.weight"),
                values=weight(f"{name}.to_v.weight"),
                out=weight(f"{name}.to_out.0.weight"),
                dtype=torch.float32,
            )


def weight_files(checkpoint: Path) -> list[Path]:
    if checkpoint.is_file() and checkpoint.suffix == ".safetensors":
        return [checkpoint]
    folder = checkpoint / "unet" if (checkpoint / "unet").is_dir() else checkpoint
    whole = folder / "diffusion_pytorch_model.safetensors"
    found = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
    if not found:
        raise FileNotFoundError(
            f'"{checkpoint}" is neither a diffusers folder with unet/*.safetensors nor a '
            ".safetensors checkpoint."
        )
    return found


def diffusers_name(name: str) -> str:
    """diffusers' name of a UNet's weight, from the original's ("input_blocks.4.1.…") or its own.

    Two residual blocks a level, as all of Stable Diffusion has: three places each.
    """
    name = name.removeprefix("model.").removeprefix("diffusion_model.")
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.1\.(.+)", name)
    if match:
        level, place = divmod(int(match[2]) - (match[1] == "input"), 3)
        side = "down" if match[1] == "input" else "up"
        return f"{side}_blocks.{level}.attentions.{place}.{match[3]}"
    return re.sub(r"^middle_block\.1\.", "mid_block.attentions.0.", name)
