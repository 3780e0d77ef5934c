"""LoadDataset: a folder of pictures becomes a description that the other nodes work with."""

import hashlib
from pathlib import Path

from ..compat import input_folder, io, ui
from ..hypernet.dataset import read_dataset, report
from ..hypernet.listing import find_pictures, list_folder
from .sockets import CATEGORY, DatasetSocket


class LoadDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetLoadDataset",
            display_name="Load Dataset (Hypernet)",
            category=CATEGORY,
            description="Finds the pictures of a folder to train on. Originals are only read.",
            search_aliases=["training images", "image folder", "dataset", "hypernetwork"],
            inputs=[
                io.String.Input(
                    "folder",
                    default="my_pictures",
                    tooltip="Folder with pictures, inside the input directory or as a full path.",
                ),
                io.Int.Input(
                    "width", default=512, min=64, max=4096, step=8,
                    tooltip="Training width in pixels: 512 for SD 1.x, 1024 for SDXL.",
                ),
                io.Int.Input(
                    "height", default=512, min=64, max=4096, step=8,
                    tooltip="Training height in pixels. Pictures are covered and cropped about "
                    "the middle, never stretched.",
                ),
                io.Boolean.Input(
                    "subfolders", default=True, advanced=True,
                    tooltip="Also take the pictures of folders inside the folder. Those in one "
                    "named 10_fox are shown ten times as often.",
                ),
                io.Combo.Input(
                    "unreadable", options=["stop", "skip"], default="stop", advanced=True,
                    tooltip="What to do about damaged pictures: stop and name them, or leave "
                    "them out and name them in the report.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", display_name="dataset"),
                io.String.Output("report", display_name="report"),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, folder: str, subfolders: bool = True, **others) -> str:
        """Pictures and captions by name, time and size, so that a changed folder is read again."""
        listing = list_folder(resolve(folder), subfolders)
        stats = [(str(path), *stamp) for path, stamp in listing.stamps.items()]
        return hashlib.sha256(repr((stats, sorted(others.items()))).encode()).hexdigest()

    @classmethod
    def validate_inputs(cls, folder: str | None = None, subfolders: bool = True) -> bool | str:
        if folder is None:  # linked: known only when the node runs
            return True
        try:
            find_pictures(resolve(folder), subfolders)
        except (OSError, ValueError) as fault:
            return str(fault)
        return True

    @classmethod
    def execute(
        cls, folder: str, width: int, height: int, subfolders: bool = True, unreadable: str = "stop"
    ) -> io.NodeOutput:
        dataset = read_dataset(
            resolve(folder), width, height,
            recursive=subfolders, skip_unreadable=unreadable == "skip",
        )  # fmt: skip
        return io.NodeOutput(dataset, report(dataset), ui=ui.PreviewText(report(dataset)))


def resolve(folder: str) -> Path:
    """The folder as given if that is a full path, else inside the host's input directory."""
    if not folder.strip():
        raise ValueError("The folder is empty. Give the name of a folder with pictures.")
    return input_folder() / Path(folder.strip().strip('"')).expanduser()
