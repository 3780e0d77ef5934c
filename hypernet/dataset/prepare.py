"""Prepares a dataset for training: decides which part of each picture is used, at which size.

Only the cuts are computed; nothing is written and no pixels are kept. Splitting and mirrored copies
turn one file into several items. Preparing always starts from the whole files, so preparing again
replaces the earlier result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..pictures.buckets import LONGEST, STEP, buckets, nearest_bucket
from ..pictures.crop import OBJECTIVES, Cut, at_own_size, auto_sized, cover, fit, flipped, split
from ..pictures.faces import FindFaces, face_finder
from ..pictures.focus import FocusWeights, focal_point
from ..pictures.reading import open_picture
from ..text.lists_of_names import some
from .items import Dataset, Item
from .masks import LOSS_MASKS, check_masks
from .reading import in_threads, name_in

SIZES = ("one size", "buckets", "auto size", "fit", "own size")
CROPS = ("middle", "focal point")
TRIFLE = 0.02  # a crop that loses a smaller share needs no focal point


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How to prepare a dataset. Raises ValueError with all faults in one message.

    size, one of SIZES: the dataset's size; the nearest bucket of the same area; the best size with
    sides from auto_least to auto_most; the whole picture fitted into the dataset's size; or the
    picture's own size.
    """

    size: str = "one size"
    crop: str = "middle"
    split_oversized: bool = False
    flip_copies: bool = False
    loss_mask: str = "none"
    split_threshold: float = 0.5
    split_overlap: float = 0.2
    bucket_step: int = STEP  # pixels
    bucket_longest: float = LONGEST  # times the shorter side
    faces: float = 0.9  # weights for the focal point
    edges: float = 0.5
    entropy: float = 0.15
    auto_least: int = 384  # pixels of a side
    auto_most: int = 768
    auto_side: int = 640  # of the largest square
    auto_threshold: float = 0.1
    auto_objective: str = "maximize area"

    def __post_init__(self) -> None:
        faults = [
            f'{name} "{getattr(self, name)}": give one of {", ".join(known)}.'
            for name, known in (
                ("size", SIZES),
                ("crop", CROPS),
                ("loss_mask", LOSS_MASKS),
                ("auto_objective", tuple(OBJECTIVES)),
            )
            if getattr(self, name) not in known
        ]
        faults += [
            f"{name} {getattr(self, name):g}: give {least:g} to {most:g}."
            for name, least, most in (
                ("split_threshold", 0, 1),
                ("split_overlap", 0, 0.9),
                ("auto_threshold", 0, 1),
                ("faces", 0, 1000),
                ("edges", 0, 1000),
                ("entropy", 0, 1000),
                ("bucket_longest", 1, 1000),
            )
            if not least <= getattr(self, name) <= most
        ]
        faults += [
            f"{name} {getattr(self, name)}: give a multiple of 8 pixels, at least 8."
            for name in ("bucket_step", "auto_least", "auto_most", "auto_side")
            if getattr(self, name) < 8 or getattr(self, name) % 8
        ]
        if self.auto_least > min(self.auto_most, self.auto_side):
            faults.append(
                f"auto_least {self.auto_least} is above auto_most {self.auto_most} or auto_side "
                f"{self.auto_side}: no size is between."
            )
        if faults:
            raise ValueError(" ".join(faults))


def prepare(
    dataset: Dataset,
    preparation: Preparation,
    each: Callable[[int, int], object] = lambda done, total: None,
) -> Dataset:
    """The dataset with cuts.

    Pictures are opened only to find their focal points; each(done, total) is called after every
    one. Raises ValueError for unreadable pictures, unless the dataset skips them, and for a mask
    that doesn't have its picture's shape.
    """
    files = list({item.path: replace(item, cut=None) for item in dataset.items}.values())
    cuts, notes = cut_all(files, dataset, preparation)
    unreadable: dict[Item, str] = {}
    if preparation.crop == "focal point":
        find_faces, lacking = face_finder() if preparation.faces else (None, "")
        notes += [lacking] if lacking else []
        unreadable = refocus(cuts, preparation, find_faces, each)
        if unreadable and not dataset.skip_unreadable:
            raise ValueError(" ".join(list(unreadable.values())[:10]))
    items = []
    for item, found in cuts.items():
        if item not in unreadable:
            items += [replace(item, cut=cut) for cut in found]
            if preparation.flip_copies:
                items += [replace(item, cut=flipped(cut)) for cut in found]
    if preparation.flip_copies:
        notes.append("Every picture has a mirrored copy.")
    named = tuple((name_in(dataset.folder, item.path), why) for item, why in unreadable.items())
    prepared = replace(
        dataset,
        items=tuple(items),
        unreadable=dataset.unreadable + named,
        loss_mask=preparation.loss_mask,
    )
    if preparation.loss_mask == "mask file":
        notes.append(check_masks(prepared))
    return replace(prepared, notes=dataset.notes + tuple(notes))


def cut_all(
    files: list[Item], dataset: Dataset, preparation: Preparation
) -> tuple[dict[Item, list[Cut]], list[str]]:
    """The cuts of every file, computed from sizes alone, and sentences about them."""
    cut = cutter(dataset, preparation)
    cuts: dict[Item, list[Cut]] = {}
    no_size = []
    for item in files:
        parts = (
            split(
                item.width,
                item.height,
                dataset.width,
                dataset.height,
                preparation.split_threshold,
                preparation.split_overlap,
            )
            if preparation.split_oversized
            else []
        )
        if not parts:
            one = cut(item.width, item.height)
            if one is None:
                no_size.append(item.path.name)
                one = cover(item.width, item.height, dataset.width, dataset.height)
            parts = [one]
        cuts[item] = parts
    notes = []
    if several := [found for found in cuts.values() if len(found) > 1]:
        notes.append(f"{len(several)} oversized pictures are split into {sum(map(len, several))}.")
    if no_size:
        notes.append(
            f"{len(no_size)} are of a shape that no auto size comes near; they are covered and "
            f"cropped: {some(no_size)}."
        )
    return cuts, notes


def cutter(dataset: Dataset, preparation: Preparation) -> Callable[[int, int], Cut | None]:
    """A function that gives the cut for a picture's width and height; None if no size is near."""
    width, height, chosen = dataset.width, dataset.height, preparation
    if chosen.size == "buckets":
        among = buckets(width, height, chosen.bucket_step, chosen.bucket_longest)
        return lambda x, y: cover(x, y, *nearest_bucket(x, y, among))
    if chosen.size == "auto size":
        return lambda x, y: auto_sized(
            x,
            y,
            least=chosen.auto_least,
            most=chosen.auto_most,
            area=(64 * 64, chosen.auto_side**2),
            threshold=chosen.auto_threshold,
            objective=chosen.auto_objective,
        )
    if chosen.size == "fit":
        return lambda x, y: fit(x, y, width, height)
    if chosen.size == "own size":
        return at_own_size
    return lambda x, y: cover(x, y, width, height)


def refocus(
    cuts: dict[Item, list[Cut]],
    preparation: Preparation,
    find_faces: FindFaces | None,
    each: Callable[[int, int], object],
) -> dict[Item, str]:
    """Move the boxes that lose much to their focal points, in place.

    Returns the items that cannot be read, with the reason.
    """
    weights = FocusWeights(
        faces=preparation.faces if find_faces else 0.0,
        edges=preparation.edges,
        entropy=preparation.entropy,
    )
    to_look_at = [item for item, found in cuts.items() if len(found) == 1 and leaves(item, *found)]

    def look(item: Item) -> Cut | ValueError:
        (cut,) = cuts[item]
        try:
            picture = open_picture(item.path)
        except ValueError as fault:
            return fault
        focus = focal_point(picture, cut.width / cut.height, weights, find_faces or (lambda _: []))
        return cover(item.width, item.height, cut.width, cut.height, focus)

    unreadable = {}
    for done, (item, found) in enumerate(in_threads(look, to_look_at), 1):
        if isinstance(found, ValueError):
            unreadable[item] = str(found)
        else:
            cuts[item] = [found]
        each(done, len(to_look_at))
    return unreadable


def leaves(item: Item, cut: Cut) -> bool:
    """Does the crop lose enough for its position to matter?"""
    left, top, right, bottom = cut.box
    return (right - left) * (bottom - top) < (1 - TRIFLE) * item.width * item.height
