"""Which names the demo shows: 64 to train on, 64 that training never sees.

    python -m demo.choose GOOGLE TWITTER

GOOGLE and TWITTER are the unpacked npm packages of pictures.py. The names below are well known and
look like something; signs, letters, clocks and arrows are left out, because both sets draw them
alike. Half of every subcategory's names are trained on and half are held out, by a hash of the
name, so both halves cover the same ground and nobody picked the easy ones.

Writes pictures/KEY.png (Twemoji) with KEY.txt beside it, and held_out/ with both sets' pictures and
names.json. The files are the packages' own, 64 pixels and with their transparency.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from .pictures import Emoji, picture_path, read_names

HERE = Path(__file__).parent

WELL_KNOWN = {
    "heart": "heart blue_heart green_heart yellow_heart purple_heart orange_heart broken_heart "
    "sparkling_heart",
    "face-smiling": "grinning smiley wink joy innocent upside_down_face",
    "face-affection": "heart_eyes kissing_heart",
    "face-concerned": "cry sob flushed scream",
    "face-negative": "angry skull",
    "face-costume": "ghost alien clown_face robot_face",
    "cat-face": "smiley_cat heart_eyes_cat",
    "animal-mammal": "dog cat panda_face fox_face lion_face pig bear koala monkey_face mouse "
    "elephant cow",
    "animal-bird": "penguin owl bird chicken",
    "animal-marine": "fish octopus whale tropical_fish",
    "animal-reptile": "turtle snake",
    "animal-bug": "bee ladybug butterfly snail",
    "plant-flower": "rose sunflower tulip hibiscus",
    "plant-other": "evergreen_tree deciduous_tree cactus palm_tree",
    "food-fruit": "apple banana strawberry watermelon grapes lemon pear cherries",
    "food-vegetable": "carrot avocado corn eggplant",
    "food-prepared": "pizza hamburger fries hotdog bread taco",
    "food-sweet": "birthday doughnut cookie icecream",
    "drink": "coffee beer wine_glass cocktail",
    "transport-ground": "car bus taxi bike truck fire_engine",
    "transport-air": "airplane rocket",
    "transport-water": "boat ship",
    "sky & weather": "sunny star rainbow cloud snowman umbrella fire crescent_moon",
    "clothing": "crown gem necktie dress",
    "sport": "soccer basketball tennis baseball",
    "game": "8ball dart",
    "musical-instrument": "guitar trumpet",
    "tool": "hammer axe",
    "lock": "key lock",
    "light & video": "bulb camera",
    "place-building": "house office",
    "event": "gift balloon",
}


def hashed(text: str) -> int:
    """The same number for the same text, always and everywhere, below 2**32."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big")


def split() -> tuple[list[str], list[str]]:
    """The keys to train on and the keys held out, 64 each."""
    trained, held_out = [], []
    for keys in WELL_KNOWN.values():
        ordered = sorted(keys.split(), key=hashed)
        trained += ordered[::2]
        held_out += ordered[1::2]
    return sorted(trained), sorted(held_out)


def write(names: list[Emoji], google: Path, twitter: Path, out: Path) -> None:
    by_key = {name.key: name for name in names}
    trained, held_out = split()
    for folder in ("pictures", "held_out"):
        shutil.rmtree(out / folder, ignore_errors=True)
    for folder in ("pictures", "held_out/noto", "held_out/twemoji"):
        (out / folder).mkdir(parents=True)
    for key in trained:
        file, caption = by_key[key].file, by_key[key].captions[0]
        shutil.copyfile(picture_path(twitter, "twitter", file), out / "pictures" / f"{key}.png")
        (out / "pictures" / f"{key}.txt").write_text(caption + "\n", "utf-8")
    rows = []
    for key in held_out:
        name = by_key[key]
        noto, twemoji = (out / "held_out" / s / f"{key}.png" for s in ("noto", "twemoji"))
        shutil.copyfile(picture_path(google, "google", name.file), noto)
        shutil.copyfile(picture_path(twitter, "twitter", name.file), twemoji)
        rows.append({"key": key, "caption": name.captions[0], "subcategory": name.subcategory})
    (out / "held_out" / "names.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("google", type=Path)
    parser.add_argument("twitter", type=Path)
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    write(read_names(options.google, options.twitter), options.google, options.twitter, options.out)


if __name__ == "__main__":
    main()
