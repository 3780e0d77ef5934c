"""Sizes of the models of today: what a network for one of them will be, without opening it.

Parameters are those that the publishers name. Streams and widths are those of the census in
families/, on each model's real configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..network.for_model import Streams, fitted, is_unet, usual_structure, widths_of
from ..network.spec import SD1_WIDTHS, HypernetSpec


@dataclass(frozen=True)
class KnownModel:
    """architecture: as the census says it. streams: the widths of each."""

    architecture: str
    parameters: float  # billions
    streams: Streams

    @property
    def spec(self) -> HypernetSpec:
        """The network that is trained on it if all is left to auto."""
        return self.network(usual_structure(self.streams))

    def network(
        self,
        structure: tuple[float, ...],
        places: tuple[str, ...] = (),
        groups: int = 1,
        **settings: Any,
    ) -> HypernetSpec:
        """Another network for it. settings: of HypernetSpec.

        Raises ValueError as HypernetSpec and for_model.fitted do.
        """
        settings = {"widths": widths_of(self.streams)} | settings
        spec = HypernetSpec(layer_structure=structure, **settings)
        # the widths of a UNet may be those of another one
        streams = {"": spec.widths} if is_unet(self.streams) else self.streams
        return fitted(
            spec, streams, every_width=False, chosen=places, groups=groups,
            architecture=self.architecture,
        )  # fmt: skip

    def weights(self, bits: int) -> int:
        """The bytes of the model's weights with numbers of so many bits."""
        return round(self.parameters * 1e9 * bits / 8)


def joint(width: int) -> dict[str, tuple[int, ...]]:
    """Text and picture apart first, and together afterwards."""
    return {"image": (width,), "text": (width,), "joint": (width,)}


def crossing(width: int, text: int) -> dict[str, tuple[int, ...]]:
    return {"self": (width,), "cross": (text,)}


KNOWN = {
    "sd15": KnownModel("unet", 0.86, {"": SD1_WIDTHS}),
    "sdxl": KnownModel("unet", 2.6, {"": (640, 1280, 2048)}),
    "sd35-medium": KnownModel("sd3", 2.5, {"image": (1536,), "text": (1536,), "self": (1536,)}),
    "sd35-large": KnownModel("sd3", 8.1, {"image": (2432,), "text": (2432,)}),
    "anima": KnownModel("anima", 2.0, crossing(2048, 1024)),
    "cosmos-predict2-2b": KnownModel("cosmos_predict2", 2.0, crossing(2048, 1024)),
    "cosmos-predict2-14b": KnownModel("cosmos_predict2", 14.0, crossing(5120, 1024)),
    "lumina2": KnownModel("lumina2", 2.6, joint(2304)),
    "z-image": KnownModel("z_image", 6.0, joint(3840)),
    "flux": KnownModel("flux", 12.0, joint(3072)),
    "chroma": KnownModel("chroma", 8.9, joint(3072)),
    "flux2-klein-4b": KnownModel("flux2", 4.0, joint(3072)),
    "flux2-klein-9b": KnownModel("flux2", 9.0, joint(4096)),
    "flux2-dev": KnownModel("flux2", 32.0, joint(6144)),
    "qwen-image": KnownModel("qwen_image", 20.0, {"image": (3072,), "text": (3072,)}),
    "hidream": KnownModel("hidream", 17.0, joint(2560)),
    "wan-1.3b": KnownModel("wan", 1.3, crossing(1536, 1536)),
    "wan-5b": KnownModel("wan", 5.0, crossing(3072, 3072)),
    "wan-14b": KnownModel("wan", 14.0, crossing(5120, 5120)),
}
