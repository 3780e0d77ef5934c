"""PrepareDataset chooses the cut and size of each picture; SavePreparedFolder writes the result."""

import logging

from hypernet.dataset.contact_sheet import MOST, contact_sheet
from hypernet.dataset.in_words import report
from hypernet.dataset.masks import LOSS_MASKS
from hypernet.dataset.prepare import CROPS, SIZES, Preparation, prepare
from hypernet.dataset.prepared_folder import FORMATS, save_prepared
from hypernet.pictures.crop import OBJECTIVES
from hypernet.text.file_names import check_name

from ...compat import io, output_folder, ui
from ..shared.progress import watch
from ..shared.sockets import CATEGORY, DatasetSocket, default
from ..use.load_save import name_fault

log = logging.getLogger(__name__)


def rare(kind: type, name: str, tooltip: str, **limits):
    """An advanced input with the library's default."""
    return kind.Input(
        name, default=default(Preparation, name), optional=True, advanced=True,
        tooltip=tooltip, **limits,
    )  # fmt: skip


class PrepareDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetPrepare",
            display_name="Prepare Dataset (Hypernet)",
            category=CATEGORY,
            description="Chooses what part of each picture is trained on, and at which size. "
            "Nothing is stretched, and no file is changed. Preparing begins with the whole "
            "pictures: a second Prepare replaces the first.",
            search_aliases=["crop", "split oversized", "flip", "focal point", "buckets", "mask"],
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Pictures from Load Dataset."),
                io.Combo.Input(
                    "size", options=list(SIZES), default=default(Preparation, "size"),
                    tooltip="one size: the dataset's. buckets: the size of about its area nearest "
                    "to each picture's shape. auto size: the best of a range. fit: the whole "
                    "picture inside the dataset's size. own size: not resized.",
                ),
                io.Combo.Input(
                    "crop", options=list(CROPS), default=default(Preparation, "crop"),
                    tooltip="What a crop keeps: the middle, or what the eye goes to (faces, edges, "
                    "detail), which takes about 0.1 s per picture.",
                ),
                io.Boolean.Input(
                    "split_oversized", default=default(Preparation, "split_oversized"),
                    tooltip="Split long pictures (comic strips, panoramas) into several of the "
                    "dataset's size, instead of cropping most of them away.",
                ),
                io.Boolean.Input(
                    "flip_copies", default=default(Preparation, "flip_copies"),
                    tooltip="Add a mirrored copy of every picture. Good for a style, bad for a "
                    "subject that is not symmetrical.",
                ),
                io.Combo.Input(
                    "loss_mask", options=list(LOSS_MASKS),
                    default=default(Preparation, "loss_mask"),
                    tooltip="What counts while training. alpha: where pictures are opaque. mask "
                    "file: where name_mask.png beside a picture is white.",
                ),
                io.Int.Input(
                    "thumbnails", default=16, min=0, max=MOST,
                    tooltip="Pictures on the contact sheet, spread over the dataset.",
                ),
                rare(
                    io.Float, "split_threshold", min=0.0, max=1.0, step=0.05,
                    tooltip="A picture is oversized if a crop would keep no more than this share "
                    "of it.",
                ),
                rare(
                    io.Float, "split_overlap", min=0.0, max=0.9, step=0.05,
                    tooltip="Share that neighbouring parts have in common, at least.",
                ),
                rare(
                    io.Int, "bucket_step", min=8, max=512, step=8,
                    tooltip="Sides of buckets are multiples of this many pixels.",
                ),
                rare(
                    io.Float, "bucket_longest", min=1.0, max=8.0, step=0.25,
                    tooltip="The longer side of a bucket is at most this many times the shorter.",
                ),
                rare(
                    io.Float, "faces", min=0.0, max=10.0, step=0.05,
                    tooltip="Weight of faces for the focal point; they are found where OpenCV 4 "
                    "is installed.",
                ),
                rare(
                    io.Float, "edges", min=0.0, max=10.0, step=0.05,
                    tooltip="Weight of corners and edges for the focal point.",
                ),
                rare(
                    io.Float, "entropy", min=0.0, max=10.0, step=0.05,
                    tooltip="Weight of the part with the most various shades for the focal point.",
                ),
                rare(
                    io.Int, "auto_least", min=64, max=4096, step=64,
                    tooltip="Auto size: the shortest side, in pixels.",
                ),
                rare(
                    io.Int, "auto_most", min=64, max=4096, step=64,
                    tooltip="Auto size: the longest side, in pixels.",
                ),
                rare(
                    io.Int, "auto_side", min=64, max=4096, step=64,
                    tooltip="Auto size: the largest area, as the side of a square, in pixels.",
                ),
                rare(
                    io.Float, "auto_threshold", min=0.0, max=1.0, step=0.01,
                    tooltip="Auto size: how much its shape may differ from the picture's.",
                ),
                rare(
                    io.Combo, "auto_objective", options=list(OBJECTIVES),
                    tooltip="Auto size: which of the sizes that come near is the best.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", display_name="dataset"),
                io.Image.Output("contact_sheet", display_name="contact_sheet"),
                io.String.Output("report", display_name="report"),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, dataset, thumbnails: int, **options) -> io.NodeOutput:
        prepared = prepare(dataset, Preparation(**options), each=watch())
        text, sheet = report(prepared), contact_sheet(prepared, thumbnails)
        log.info("%s", text)
        shown = ui.PreviewImage(sheet, cls=cls).as_dict() | {"text": (text,)}
        return io.NodeOutput(prepared, sheet, text, ui=shown)


class SavePreparedFolder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetSavePrepared",
            display_name="Save Prepared Folder (Hypernet)",
            category=CATEGORY,
            description="Writes the pictures as they are trained on, with their captions and "
            "masks, into a new folder of the output directory. Nothing that exists is changed.",
            search_aliases=["save dataset", "export dataset", "preprocess"],
            is_output_node=True,
            inputs=[
                DatasetSocket.Input("dataset", tooltip="From Prepare Dataset or Caption."),
                io.String.Input(
                    "name", default="my_prepared_pictures",
                    tooltip="Name of the new folder in the output directory.",
                ),
                io.Combo.Input(
                    "format", options=list(FORMATS), default=next(iter(FORMATS)), optional=True,
                    advanced=True,
                    tooltip="png and webp keep every pixel, jpg (quality 95) is smaller.",
                ),
            ],
            outputs=[io.String.Output("path", display_name="path")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        return name_fault(name)

    @classmethod
    def execute(cls, dataset, name: str, format: str = next(iter(FORMATS))) -> io.NodeOutput:
        folder = output_folder() / check_name(name)
        path = str(save_prepared(dataset, folder, format, each=watch()))
        told = [f"Saved {len(dataset.items)} pictures in {path}"]
        return io.NodeOutput(path, ui={"saved": [path], "text": told})
