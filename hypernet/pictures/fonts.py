"""A font for the words on a sheet: Pillow's own, or one of the system's where that lacks letters.

Captions and file names are in any script; Pillow's own font has Latin letters only. Fonts that have
Chinese usually have Japanese, Greek and Cyrillic too.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from PIL import ImageFont

SYSTEM_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc",
    "STHeiti Medium.ttc", "simhei.ttf", "simsun.ttc", "wqy-zenhei.ttc", "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf", "NotoSansCJKkr-Regular.otf",
    "malgun.ttf", "YuGothM.ttc", "Arial Unicode.ttf", "arialuni.ttf", "DejaVuSans.ttf",
)  # fmt: skip
NO_LETTER = "\uffff"


def font_for(texts: Iterable[str], size: int) -> ImageFont.FreeTypeFont:
    """The first font, `size` pixels high, that has the most letters of these texts."""
    letters = {letter for text in texts for letter in text if not letter.isspace()}
    best, most = own_font(size), -1
    for font in fonts(size):
        found = sum(has(font, letter) for letter in letters)
        if found > most:
            best, most = font, found
        if found == len(letters):
            break
    return best


def fonts(size: int) -> Iterable[ImageFont.FreeTypeFont]:
    yield own_font(size)
    for name in SYSTEM_FONTS:
        if (font := system_font(name, size)) is not None:
            yield font


@lru_cache(16)
def own_font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


@lru_cache(64)
def system_font(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def has(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Does it draw something else for the letter than for one that no font has?"""
    drawn, lacking = font.getmask(letter), font.getmask(NO_LETTER)
    return (drawn.size, bytes(drawn)) != (lacking.size, bytes(lacking))
