"""Where in a model a layer lies, and which pair of MLPs acts there.

In a UNet the width of its input says it all. In a transformer all blocks have one width, and text
and picture may share it: there a network has a pair for each stream and width, and may have several
along the depth.
"""

from __future__ import annotations

from typing import NamedTuple

# self, cross: attention of the picture to itself and to the text. cross_image: to a given picture.
# image, text: the two streams of joint attention before they are one sequence. joint: afterwards.
PLACES = ("self", "cross", "cross_image", "image", "text", "joint")
UNCHANGING = ("cross", "cross_image")  # where all blocks read the same tokens


class Place(NamedTuple):
    """Where a layer lies: in which stream, and in which of the stream's blocks, from 0 on."""

    stream: str
    depth: int = 0
    of: int = 1


class Pair(NamedTuple):
    """Which pair of MLPs: its width, and in a transformer its stream and group of blocks.

    group: None where all blocks of the stream share the pair.
    """

    width: int
    stream: str = ""
    group: int | None = None

    @property
    def name(self) -> str:
        """ "768", "joint.3072" or "joint.3072.1", as files call it."""
        parts = (self.stream, self.width, self.group)
        return ".".join(str(part) for part in parts if part not in ("", None))

    def place(self, groups: int) -> Place | None:
        """A place where it acts, in a network of so many groups; None in a UNet."""
        return Place(self.stream, self.group or 0, groups) if self.stream else None
