"""Recognises mask files by the names that trainers give them.

Beside its picture, a mask is called `fox_mask.png` (ours, A1111's), `fox-masklabel.png`
(OneTrainer) or `mask_fox.png`. In a folder of masks it has the picture's name, `masks/fox.png`.
ControlNet inputs (`fox-condlabel.png`, `conditioning_data_dir/fox.png`) are neither masks nor
pictures to train on. All this applies only if the picture exists: carnival_mask.png alone is an
ordinary picture.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..text.stems import Stems, stem_of

MASK = "_mask"  # the ending that we write
SUSPECT = re.compile("(?i)mask|cond|control")  # other names need no closer look
AFTER = re.compile(r"(?i)(.+?)[-_.](?:loss_?)?mask(?:label)?$")
BEFORE = re.compile(r"(?i)mask[-_.](.+)$")
CONDITION = re.compile(r"(?i)(.+)[-_.]cond(?:ition)?(?:label)?$")
FOLDER = re.compile(r"(?i)_?(loss[-_\s]?)?masks?([-_\s]?labels?)?$")
CONDITIONS = re.compile(
    r"(?i)(cond(ition(s|ing)?)?|control(net|s)?)([-_](data|images?))?([-_]dir)?$"
)


@dataclass(frozen=True)
class Masks:
    """The masks of a folder, and everything else that is named like one. Names are relative."""

    of: dict[str, str] = field(default_factory=dict)  # the mask of each picture that has one
    second: list[str] = field(default_factory=list)  # their picture already has a mask
    lost: list[str] = field(default_factory=list)  # in a folder of masks, without a picture
    conditions: list[str] = field(default_factory=list)  # inputs of a ControlNet
    pictures: list[str] = field(default_factory=list)  # ordinary pictures in spite of their names

    @property
    def no_pictures(self) -> set[str]:
        return {*self.of.values(), *self.second, *self.lost, *self.conditions}


def is_mask_name(base: str) -> bool:
    """Is this the name of a mask? base: the file name without folder and suffix."""
    return bool(AFTER.match(base) or BEFORE.match(base))


def find_masks(names: list[str]) -> Masks:
    """Sort out the masks. names: all picture files, relative to the folder."""
    suspects = [name for name in names if SUSPECT.search(name)]
    if not suspects:
        return Masks()
    inside = {name: place for name in suspects if (place := special_folder(name))}
    all_stems, plain = Stems(names), Stems(name for name in names if name not in inside)
    owners = {name: owners_of(name, inside.get(name), all_stems, plain) for name in suspects}
    folders = {inside[name] for name in inside if owners[name]}  # others hold ordinary pictures
    found = Masks()
    for name in sorted(suspects, key=inside.__contains__):  # masks beside their picture come first
        place = inside.get(name)
        conditions = CONDITION.match(base_of(name)) or (place and CONDITIONS.match(last(place)))
        if owners[name] and conditions:
            found.conditions.append(name)
        elif owners[name]:
            free = [owner for owner in owners[name] if owner not in found.of]
            found.of.update(dict.fromkeys(free, name))
            found.second.extend([] if free else [name])
        elif place in folders:
            (found.conditions if CONDITIONS.match(last(place)) else found.lost).append(name)
        elif is_mask_name(base_of(name)) or (place and FOLDER.match(last(place))):
            found.pictures.append(name)
    return found


def base_of(name: str) -> str:
    return last(stem_of(name))


def last(path: str) -> str:
    return path.rpartition("/")[2]


def special_folder(name: str) -> str:
    """The folder of masks or ControlNet inputs that the file is in; "" if it is in none."""
    parts = name.split("/")[:-1]
    for count in range(len(parts), 0, -1):
        if FOLDER.match(parts[count - 1]) or CONDITIONS.match(parts[count - 1]):
            return "/".join(parts[:count])
    return ""


def owners_of(name: str, place: str | None, all_stems: Stems, plain: Stems) -> list[str]:
    """The pictures that a mask belongs to, by its name or by the folder it is in."""
    folder, base = posixpath.dirname(name), base_of(name)
    for owner in named_in(base):
        if owners := all_stems.find(posixpath.join(folder, owner)):
            return owners
    if place:
        for stem in elsewhere(folder, place, [base, *named_in(base)]):
            if owners := plain.find(stem):
                return owners
    return []


def named_in(base: str) -> list[str]:
    matches = (pattern.match(base) for pattern in (AFTER, BEFORE, CONDITION))
    return [match[1] for match in matches if match]


def elsewhere(folder: str, place: str, bases: Iterable[str]) -> Iterator[str]:
    """Stems of pictures that masks/…/fox.png may belong to: …/fox, images/…/fox and so on."""
    above, rest = posixpath.dirname(place), folder[len(place) :].lstrip("/")
    for base in bases:
        for beside in ("", "images", "image", "imgs", "img", "pictures", "train"):
            yield posixpath.join(above, beside, rest, base)
