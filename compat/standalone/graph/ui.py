"""What a node displays: pictures saved as PNG, or text. Names are those of comfy_api.latest.ui."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from .. import folders
from .node_class import ComfyNode
from .socket_types import FolderType

_PLACES = {
    FolderType.input: folders.input_folder,
    FolderType.output: folders.output_folder,
    FolderType.temp: folders.temp_folder,
}


class SavedResult(dict):
    """A file in the form in which the editor requests it: {"filename", "subfolder", "type"}."""

    def __init__(self, filename: str, subfolder: str, type: FolderType):
        super().__init__(filename=filename, subfolder=subfolder, type=FolderType(type).value)


class SavedImages:
    def __init__(self, results: list[SavedResult], is_animated: bool = False):
        self.results = results
        self.is_animated = is_animated

    def as_dict(self) -> dict[str, Any]:
        animated = {"animated": (True,)} if self.is_animated else {}
        return {"images": self.results} | animated


class PreviewText:
    def __init__(self, value: str, **kwargs: Any):
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}


class PreviewImage:
    """Pictures (B, H, W, 3) in 0..1, saved in the temp folder."""

    def __init__(
        self,
        image: Tensor,
        animated: bool = False,
        cls: type[ComfyNode] | None = None,
        **kwargs: Any,
    ):
        save = ImageSaveHelper.save_images
        self.values = save(image, "preview", FolderType.temp, cls, compress_level=1)
        self.animated = animated

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (self.animated,)}


class PreviewMask(PreviewImage):
    """Masks (B, H, W) in 0..1."""

    def __init__(self, mask: Tensor, animated: bool = False, cls: Any = None, **kwargs: Any):
        pictures = mask.reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3)
        super().__init__(pictures, animated, cls, **kwargs)


class ImageSaveHelper:
    @staticmethod
    def save_images(
        images: Tensor,
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        compress_level: int = 4,
    ) -> list[SavedResult]:
        """Save each picture as "<prefix>_00001_.png" and so on; no file is overwritten.

        The prompt and the workflow are written into the PNG if cls has them as hidden values.
        """
        place = _PLACES[folder_type]()
        results = []
        for image in images:
            path = folders.next_file(filename_prefix, place, ".png")
            pixels = (255.0 * image.float().cpu().numpy()).clip(0, 255).astype(np.uint8)
            picture = Image.fromarray(pixels)
            with path.open("xb") as file:
                picture.save(file, "PNG", pnginfo=_metadata(cls), compress_level=compress_level)
            subfolder = path.parent.relative_to(place).as_posix()
            results.append(SavedResult(path.name, subfolder.removeprefix("."), folder_type))
        return results

    @staticmethod
    def get_save_images_ui(
        images: Tensor,
        filename_prefix: str,
        cls: type[ComfyNode] | None,
        compress_level: int = 4,
    ) -> SavedImages:
        saved = ImageSaveHelper.save_images(
            images, filename_prefix, FolderType.output, cls, compress_level
        )
        return SavedImages(saved)


def _metadata(cls: type[ComfyNode] | None) -> PngInfo:
    info = PngInfo()
    if cls is not None and cls.hidden.prompt:
        info.add_text("prompt", json.dumps(cls.hidden.prompt))
    if cls is not None:
        for name, value in (cls.hidden.extra_pnginfo or {}).items():
            info.add_text(name, json.dumps(value))
    return info
