"""LoadDataset: reads a folder of pictures into a dataset, which the other nodes work with."""

import hashlib
import logging
import os
from pathlib import Path

from hypernet.dataset.contact_sheet import MOST, contact_sheet
from hypernet.dataset.in_words import report
from hypernet.dataset.listing import find_pictures, list_folder
from hypernet.dataset.reading import read_dataset
from hypernet.text.links import is_inside
from hypernet.text.names import BLANKS, Match, exists, find_below

from ...compat import Faults, dataset_folders, input_folder, io, output_folder, ui
from ..shared.cache import cache_folder
from ..shared.demo_model import DEMO
from ..shared.progress import watch
from ..shared.sockets import CATEGORY, DatasetSocket

log = logging.getLogger(__name__)

OUTPUT = " [output]"  # after a name: it lies in the output directory, as in ComfyUI's image nodes
DEMO_NOTE = " [demo]"  # after a name: it lies in the pack's demo folder


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
                    tooltip="Folder with pictures, inside the input directory or as a full path; "
                    '"name [output]" for one inside the output directory, "pictures [demo]" for '
                    "the 64 pictures that come with Hypernet.",
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
                io.Boolean.Input(
                    "find_alike", default=False, optional=True, advanced=True,
                    tooltip="Name pictures that look the same in the report. Every picture is "
                    "decoded for it once: some 20 ms each, and remembered.",
                ),
                io.Int.Input(
                    "thumbnails", default=0, min=0, max=MOST, optional=True, advanced=True,
                    tooltip="Pictures on the contact sheet, spread over the folder; 0 for none.",
                ),
                io.String.Input(
                    "exclude", default="", multiline=True, optional=True, advanced=True,
                    tooltip="Pictures to leave out, one name or pattern a line: fox.png, "
                    "blurred_*, old/*.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", display_name="dataset"),
                io.String.Output("report", display_name="report"),
                io.Image.Output("contact_sheet", display_name="contact_sheet"),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, folder: str, subfolders: bool = True, **others) -> str:
        """A hash of all files' names, times and sizes, so that a changed folder is read again."""
        listing = list_folder(resolve(folder), subfolders)
        stats = [(name, *stamp) for name, stamp in listing.stamps.items()]
        found = repr((str(listing.folder), stats, listing.faults, sorted(others.items())))
        return hashlib.sha256(found.encode("utf-8", "replace")).hexdigest()

    @classmethod
    def validate_inputs(
        cls, folder: str | None = None, subfolders: bool = True, exclude: str | None = ""
    ) -> bool | str:
        if folder is None:  # comes from another node, so it is known only when this one runs
            return True
        faults = Faults()
        with faults.of("folder"):
            find_pictures(resolve(folder), subfolders, exclude or "")
        return faults.answer()

    @classmethod
    def execute(
        cls, folder: str, width: int, height: int, subfolders: bool = True,
        unreadable: str = "stop", find_alike: bool = False, thumbnails: int = 0, exclude: str = "",
    ) -> io.NodeOutput:  # fmt: skip
        path, note = look_up(folder)
        dataset = read_dataset(
            path, width, height,
            recursive=subfolders, exclude=exclude, skip_unreadable=unreadable == "skip",
            find_alike=find_alike, cache=cache_folder() / "measurements", each=watch(),
        )  # fmt: skip
        text = f"{note}\n{report(dataset)}".lstrip()
        log.info("%s", text)
        sheet = contact_sheet(dataset, thumbnails)
        shown = ui.PreviewText(text).as_dict()
        shown |= ui.PreviewImage(sheet, cls=cls).as_dict() if thumbnails else {}
        return io.NodeOutput(dataset, text, sheet, ui=shown)


def resolve(folder: str) -> Path:
    """The folder that a text means; see `look_up`."""
    return look_up(folder)[0]


def look_up(folder: str) -> tuple[Path, str]:
    """(the folder that a text means, a note if it was found under another spelling).

    A full path is taken as it is. Other names lie in the host's input directory, its output
    directory or the pack's demo folder, as the name says. If none has exactly this name, a similar
    one is looked for by the rules of names.py.

    Raises ValueError for a folder that the host does not let graphs read, or if several names fit
    equally.
    """
    if not folder.strip('" \t\n'):
        raise ValueError("The folder is empty. Give the name of a folder with pictures.")
    home, name = home_of(folder)
    spellings = (name, name.strip())
    paths = [Path(os.path.abspath(home / Path(each).expanduser())) for each in spellings]
    for spelling, path in zip(spellings, paths, strict=True):
        if root_of(path, home) and exists(path):
            return path, Match(name, spelling, BLANKS if spelling != name else "").note
    path = paths[-1]
    root = root_of(path, home)
    if root is None:
        allowed = dataset_folders() or []
        raise ValueError(
            f'Folder "{folder}" is outside of the folders that this server lets graphs read: '
            f"{', '.join(map(str, allowed))}. Move it, or a link to it, into the input directory, "
            'or name its parent as "datasets" in extra_model_paths.yaml.'
        )
    match = find_below(root, os.path.relpath(path, root))
    return (path, "") if match is None else (root / match.name, match.note)


def home_of(folder: str) -> tuple[Path, str]:
    """(the folder that a name is relative to, the name without quotes and " [output]" or so)."""
    bare = folder.strip().strip('"')
    text = folder if bare == folder.strip() else bare
    notes = {OUTPUT: output_folder(), DEMO_NOTE: DEMO}
    note = next((each for each in notes if text.rstrip().endswith(each)), "")
    return notes.get(note) or input_folder(), text.rstrip().removesuffix(note) if note else text


def root_of(path: Path, home: Path) -> Path | None:
    """The allowed folder that contains this path; None if graphs may not read it.

    Links are not resolved, because a link in the input directory was put there by the server's
    owner.
    """
    allowed = dataset_folders()
    roots = [home, Path(path.anchor)] if allowed is None else [*allowed, DEMO]
    return next((Path(os.path.abspath(root)) for root in roots if is_inside(path, root)), None)
