"""A ComfyUI that lacks a name which one feature of ours imports: only that feature is lost.

python check_changed_host.py COMFYUI_DIR REPOSITORY MODULE NAME

MODULE and NAME: what this ComfyUI shall lack, as after an upstream rename. Prints a line for each
feature that works and for each that says it does not.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

import torch
from check_apply import patches_of, sampled, start, tiny_model


def main() -> None:
    comfyui, repository, module, name = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = True
    import comfy.sd  # noqa: F401  ComfyUI itself has what it needs by now

    delattr(importlib.import_module(module), name)
    pack = start(comfyui, repository)
    importlib.import_module("pack.nodes")
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        for feature, use in FEATURES.items():
            try:
                use(pack, Path(folder) / f"{feature}.pt")
                print(f"{feature} works")
            except pack.compat.comfyui.HostChanged as fault:
                print(f"{feature} says: {fault}")


def load(pack, file: Path) -> None:
    pack.library.save_network(pack.network(), file)
    load_save = importlib.import_module("pack.nodes.use.load_save")
    assert load_save.open_network(file).spec == pack.network().spec


def apply(pack, file: Path) -> None:
    model = tiny_model()
    applied = pack.apply(model, pack.network(), 1.0)[0]
    assert patches_of(applied)
    assert not torch.equal(sampled(applied), sampled(model))


def inspect(pack, file: Path) -> None:
    pack.library.save_network(pack.network(), file)
    report = importlib.import_module("hypernet.tools.report")
    assert report.describe(file, pack.library.open_network(file))


def train(pack, file: Path) -> None:
    with pack.compat.denoiser(tiny_model()) as denoiser:
        assert denoiser.prediction == "eps"


def fold(pack, file: Path) -> None:
    assert len(list(pack.compat.attention_weights(tiny_model())))


FEATURES = {"load": load, "apply": apply, "inspect": inspect, "train": train, "fold": fold}


if __name__ == "__main__":
    main()
