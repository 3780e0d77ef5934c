"""Which names the demo shows: 64 to train on, 64 that training never sees.

    python -m demo.making.choose GOOGLE TWITTER

GOOGLE and TWITTER are the unpacked npm packages of pictures.py. The names are only faces and
hearts, because a network needs several pictures of a subject to learn how it is drawn; 64 pictures
of 32 subjects teach it little (docs/recipes.md). In every subcategory, half of the names are for
training and half are held out. A hash of the name decides, so both halves cover the same subjects
and nobody picked the easy ones. Subcategories with fewer than five names (glasses, hats) are left
out, and so are costumes: ghosts, robots and ogres hardly look like faces.

Writes pictures/KEY.png (Twemoji) with KEY.txt beside it, and held_out/ with both sets' pictures and
names.json. The files are the packages' own, 64 pixels and with their transparency.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from ..pictures import Emoji, picture_path, read_names

HERE = Path(__file__).parents[1]
COUNT = 64  # names to train on; as many are held out

FACES_AND_HEARTS = {
    "cat-face": "crying_cat_face heart_eyes_cat joy_cat kissing_cat pouting_cat scream_cat "
    "smile_cat smiley_cat smirk_cat",
    "face-affection": "heart_eyes kissing kissing_closed_eyes kissing_heart "
    "kissing_smiling_eyes relaxed smiling_face_with_3_hearts smiling_face_with_tear "
    "star_struck",
    "face-concerned": "anguished astonished cold_sweat confounded confused cry disappointed "
    "disappointed_relieved face_holding_back_tears face_with_diagonal_mouth fearful flushed "
    "frowning hushed open_mouth persevere pleading_face scream slightly_frowning_face sob "
    "sweat tired_face weary white_frowning_face worried yawning_face",
    "face-hand": "face_with_hand_over_mouth face_with_open_eyes_and_hand_over_mouth "
    "face_with_peeking_eye hugging_face saluting_face shushing_face thinking_face",
    "face-negative": "angry face_with_symbols_on_mouth imp rage skull skull_and_crossbones "
    "smiling_imp triumph",
    "face-neutral-skeptical": "dotted_line_face expressionless face_exhaling face_in_clouds "
    "face_with_raised_eyebrow face_with_rolling_eyes grimacing head_shaking_horizontally "
    "head_shaking_vertically lying_face neutral_face no_mouth shaking_face smirk unamused "
    "zipper_mouth_face",
    "face-sleepy": "drooling_face face_with_bags_under_eyes pensive relieved sleeping sleepy",
    "face-smiling": "blush grin grinning innocent joy laughing melting_face "
    "rolling_on_the_floor_laughing slightly_smiling_face smile smiley sweat_smile "
    "upside_down_face wink",
    "face-tongue": "money_mouth_face stuck_out_tongue stuck_out_tongue_closed_eyes "
    "stuck_out_tongue_winking_eye yum zany_face",
    "face-unwell": "cold_face dizzy_face exploding_head face_vomiting "
    "face_with_head_bandage face_with_spiral_eyes face_with_thermometer hot_face mask "
    "nauseated_face sneezing_face woozy_face",
    "heart": "black_heart blue_heart broken_heart brown_heart cupid gift_heart green_heart "
    "grey_heart heart heart_decoration heart_on_fire heartbeat heartpulse "
    "heavy_heart_exclamation_mark_ornament light_blue_heart love_letter mending_heart "
    "orange_heart pink_heart purple_heart revolving_hearts sparkling_heart two_hearts "
    "white_heart yellow_heart",
}


def hashed(text: str) -> int:
    """A number below 2**32 that is the same for the same text, always and everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big")


def split() -> tuple[list[str], list[str]]:
    """(the keys to train on, the held-out keys), COUNT each."""
    ordered = [sorted(keys.split(), key=hashed) for keys in FACES_AND_HEARTS.values()]

    def half(first: int) -> list[str]:
        found = [key for keys in ordered for key in keys[first::2]]
        return sorted(sorted(found, key=hashed)[:COUNT])

    return half(0), half(1)


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
