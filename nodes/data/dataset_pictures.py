"""DatasetPictures: a dataset's pictures as a list of IMAGEs, for nodes that look at them."""

from collections.abc import Iterator

import torch

from hypernet.dataset.items import Dataset, pixels_of
from hypernet.pictures.crop import Cut
from hypernet.pictures.reading import open_picture

from ...compat import io
from ..shared.progress import watch
from ..shared.sockets import CATEGORY, DatasetSocket

NODE = "HypernetDatasetPictures"


class DatasetPictures(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=NODE,
            display_name="Dataset Pictures (Hypernet)",
            category=CATEGORY,
            description="Gives the pictures of a dataset one by one, as a list, in its order. A "
            "node that describes a picture then runs once for each; its texts go into Caption.",
            search_aliases=["images of a dataset", "image list", "vision model", "vlm caption"],
            inputs=[
                DatasetSocket.Input(
                    "dataset", tooltip="Pictures from Load Dataset. Each file is given once."
                ),
                io.Int.Input(
                    "longest_side", default=768, min=64, max=4096, step=8,
                    tooltip="Longest side in pixels; smaller pictures stay as they are. All are in "
                    "memory together: at 768 about 5 MB each.",
                ),
            ],
            outputs=[
                io.Image.Output("pictures", display_name="pictures", is_output_list=True),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, dataset, longest_side: int) -> io.NodeOutput:
        return io.NodeOutput(list(whole_pictures(dataset, longest_side)))


def whole_pictures(dataset: Dataset, longest_side: int) -> Iterator[torch.Tensor]:
    """(1, H, W, 3) float32 in 0..1 of every file, uncropped.

    Raises ValueError naming a file that cannot be read: without it, later texts would be of other
    pictures.
    """
    paths = dict.fromkeys(item.path for item in dataset.items)
    each = watch()
    for done, path in enumerate(paths):
        each(done, len(paths))
        try:
            picture = open_picture(path)
        except (ValueError, OSError) as fault:
            raise ValueError(
                f'"{path}" cannot be shown to the node that describes pictures: {fault}. Replace '
                "or remove it."
            ) from fault
        scale = min(1.0, longest_side / max(picture.size))
        width, height = (max(1, round(side * scale)) for side in picture.size)
        yield pixels_of(picture, Cut(box=(0, 0, *picture.size), width=width, height=height))
