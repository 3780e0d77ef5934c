"""Draw what the tiny DiT has learnt, and judge it.

    python -m demo.making.look_dit [DIR]

DIR has the folder transformer that train_dit.py saves, by default demo/tiny-dit; the contact sheet
is put beside it. Prints the share of the 64 held-out names that the content judge recognizes, and
the mean probabilities of the style judge's classes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..drawing import COMMON, contact_sheet, to_image
from ..flow import draw, load_parts
from ..judges import STYLES, load_judges

DEMO = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=DEMO / "tiny-dit")
    folder = parser.parse_args().folder
    parts, judges = load_parts(folder), load_judges()
    sheet = contact_sheet([to_image(picture) for picture in draw(parts, COMMON)], COMMON)
    sheet.save(folder / "contact_sheet.jpg", quality=72)

    names = json.loads((DEMO / "held_out" / "names.json").read_text("utf-8"))
    pictures = draw(parts, [name["caption"] for name in names], seed=100, cfg=3.0)
    found = judges.subcategory(pictures)
    right = sum(f == name["subcategory"] for f, name in zip(found, names, strict=True))
    styles = dict(zip(STYLES, judges.styles(pictures).mean(dim=0).tolist(), strict=True))
    shown = {style: round(share, 3) for style, share in styles.items()}
    print(json.dumps({"content": round(right / len(names), 3), **shown}))


if __name__ == "__main__":
    main()
