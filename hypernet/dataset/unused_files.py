"""Reports files of a folder that are not used, or not used as their names suggest.

There is one sentence for each kind of file, with a count and the first names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..pictures.file_kinds import ARCHIVES, DRAWINGS, PERHAPS, VIDEOS
from ..text.lists_of_names import some
from ..text.stems import Stems, stem_of, suffix_of
from .folder_repeats import repeats_in_words

if TYPE_CHECKING:
    from .listing import Listing
    from .written_captions import Written


def notes_on(listing: Listing, written: Written) -> list[str]:
    """Everything that can be reported without opening a picture."""
    notes = [f'"{name}" is a link to a folder that is read already.' for name in listing.again]
    if masked := listing.masks.keys() - set(listing.excluded):
        notes.append(f"{len(masked)} pictures have a mask beside them.")
    notes += [*repeats_in_words(listing.images), *written.notes]
    return [*notes, *leftovers(listing, written.tables)]


def leftovers(listing: Listing, tables: Sequence[str] = ()) -> Iterator[str]:
    """Sentences about unused files. tables: files that gave captions, and so are used."""
    masks = listing.mask_names
    others = [name for name in listing.others if name not in tables]
    kinds = (PERHAPS | DRAWINGS, VIDEOS, ARCHIVES)
    pictures, videos, archives = ([n for n in others if suffix_of(n) in kind] for kind in kinds)
    images = Stems(listing.images)
    rest = [n for n in others if not any(suffix_of(n) in kind for kind in kinds)]
    beside = [n for n in rest if suffix_of(n) == ".json" and images.find(stem_of(n))]
    rest = [n for n in rest if n not in set(beside)]
    for names, text in (
        (pictures, "{0} pictures of kinds that are not read: {1}. Save them as PNG or JPEG."),
        (videos, "{0} videos are not read: {1}."),
        (archives, "{0} archives are not unpacked: {1}."),
        (beside, "{0} JSON files of pictures are not read: {1}. Words are taken from name.txt."),
        (rest, "{0} other files are not used: {1}."),
        (listing.unnamed, "{0} pictures are known by their content, not by their names: {1}."),
        (listing.off, "{0} pictures are never shown, because their folders begin with 0_: {1}."),
        (masks.second, "{0} masks are left out, because their pictures have another: {1}."),
        (masks.lost, "{0} masks belong to no picture and are left out: {1}."),
        (masks.conditions, "{0} pictures of conditions, as for a ControlNet, are left out: {1}."),
        (
            masks.pictures,
            "{0} pictures are trained on that are named as masks, but of no picture: {1}.",
        ),
        (listing.lonely_captions, "{0} caption files without a picture: {1}."),
        (listing.excluded, "{0} pictures are left out by exclude: {1}."),
        (listing.unmatched, "{0} lines of exclude name no picture here: {1}."),
        (listing.closed, "{0} folders inside are not looked into, because subfolders is off: {1}."),
    ):  # fmt: skip
        if names:
            yield text.format(len(names), some(names))
