"""Chooses a font for drawn text: Pillow's own, or a system font if that lacks letters.

Captions and file names can be in any script, and Pillow's own font has only Latin letters. Fonts
with Chinese usually have Japanese, Greek and Cyrillic too.
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
NO_LETTER = "\uffff"  # no character, so every font draws its sign for a missing one


def font_for(texts: Iterable[str], size: int) -> ImageFont.FreeTypeFont:
    """The font that has the most letters of these texts; of equals, the first. size: pixels."""
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
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as whenever a size is asked for
    return font


@lru_cache(64)
def system_font(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def has(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Does the font draw the letter differently from one that no font has?"""
    drawn, lacking = font.getmask(letter), font.getmask(NO_LETTER)
    # Pillow's types forget that its core image is a sequence of bytes
    one, other = bytes(drawn), bytes(lacking)  # pyright: ignore[reportArgumentType]
    return (drawn.size, one) != (lacking.size, other)
