"""Numbers and lists as people type and paste them, read as they are meant or refused.

Keyboards and programs have signs of their own for the same thing: ， ： １ on a Chinese or Japanese
one, − and “ ” in a word processor, &lt; and blanks that do not break on a web page. What can mean
one thing only is read as that. The surprise is the comma: it stands between numbers, but most of
Europe writes 0,5 for a half. Where both readings make sense, both are shown and neither is taken.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Callable, Iterator

Numbers = tuple[float, ...]

COMMAS = "，、､﹐﹑،"
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
SIGNS = {
    **dict.fromkeys(COMMAS, ","),
    **dict.fromkeys("−‐‑‒–—―﹣", "-"),
    **dict.fromkeys("∶﹕︰", ":"),
    **dict.fromkeys("“”„‟«»「」『』", '"'),
    **dict.fromkeys("‘’‚‛′´", "'"),
    "。": ".", "｡": ".", "﹔": ";", "﹤": "<", "﹥": ">",
}  # fmt: skip
WRAPPING = "[](){}\"'` "  # around a whole list that is copied from code or out of a sentence

NUMBER = re.compile(r"[+-]?(\d+(_\d{3})*(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.I)
WHOLE = re.compile(r"[+-]?\d{1,30}(_\d{3}){0,4}")
POWER = re.compile(r"([+-]?[\d.]+)\s*[×x*·]\s*10\s*\^?\s*([+-]?\d+)", re.I)  # 5×10⁻⁵
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
CYRILLIC_E = str.maketrans("еЕ", "ee")
BETWEEN = re.compile(r"\s*[,;]\s*|\s+")
ALONE = r"(?<![\d.])(?<!\d,){}(?![\d.])(?!,\d)"  # not in 1,2,1
DECIMAL_COMMA = re.compile(ALONE.format(r"(\d+),(\d+)"))
THOUSANDS_COMMA = re.compile(ALONE.format(r"(\d{1,3}),(\d{3})"))
LEADING_ZERO = re.compile(r"[+-]?0\d")  # no number of a list, but the end of 0,05
SMALL = 2  # two numbers up to this are two, as 0,1 is off and on


def folded(text: str) -> str:
    """The text with signs of other keyboards as ASCII, each character in its place."""
    return text if text.isascii() else "".join(map(fold, text))


def fold(sign: str) -> str:
    if sign in SIGNS:
        return SIGNS[sign]
    if "！" <= sign <= "～":  # full-width
        return chr(ord(sign) - 0xFEE0)
    if sign.isspace() or INVISIBLE.match(sign):
        return " "
    digit = unicodedata.decimal(sign, None)
    return sign if digit is None else str(digit)


def plain(text: str) -> str:
    """The same without what cannot be seen, and without the escapes of web pages."""
    return folded(INVISIBLE.sub("", html.unescape(text))).strip()


def unwrapped(text: str) -> str:
    """The same without brackets and quotes around all of it."""
    return plain(text).strip(f"{WRAPPING}\t\r\n")


def number_in(text: str) -> float | None:
    """The number that all of the text is, if it is a finite one."""
    text = plain(text).translate(CYRILLIC_E)
    if power := POWER.fullmatch(text.translate(RAISED)):
        text = f"{power[1]}e{power[2]}"
    number = float(text) if NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def is_boundless(text: str) -> bool:
    """Is it NaN or infinity? Python takes them for numbers, and no field does."""
    return bool(re.fullmatch("[+-]?(nan|inf|infinity)", plain(text), re.IGNORECASE))


def whole_in(text: str) -> int | None:
    """The whole number that all of the text is, if it is one."""
    text = plain(text)
    return int(text) if WHOLE.fullmatch(text) else None


def single_number_in(text: str) -> float | None:
    """As number_in, where no list can be meant: 0,8 is 0.8. 1,000 may be 1 or 1000: none."""
    comma = re.fullmatch(r"([+-]?\d+),(\d+)", plain(text))
    if comma and (len(comma[2]) != 3 or int(comma[1]) == 0):
        return number_in(f"{comma[1]}.{comma[2]}")
    return number_in(text)


def read_numbers(
    text: str, what: str, example: str, makes_sense: Callable[[Numbers], bool] | None = None
) -> Numbers:
    """The numbers of a list with commas, semicolons or blanks between them, whole ones as int.

    what: how messages call the list. makes_sense: tells the readings of 0,5 apart, as one number or
    two; without it a comma stands between two.

    Raises ValueError quoting the text, when a part of it is no number or it can mean two things.
    """
    parts = parts_of(unwrapped(text))
    readings = [found for each in readings_of(unwrapped(text)) if (found := numbers_of(each))]
    if not readings:
        wrong = next((part for part in parts if numbers_of([part]) is None), parts[0])
        raise ValueError(f'{what} "{text}": "{wrong}" is not a number. Write it like "{example}".')
    sensible = [each for each in readings if makes_sense and makes_sense(each)] or readings[:1]
    if len(sensible) > 1 and not (len(parts) == 2 and max(map(abs, sensible[0])) <= SMALL):
        one, other = (", ".join(f"{number:g}" for number in each) for each in sensible[:2])
        raise ValueError(f'{what} "{text}" can mean two things. Write "{one}" or "{other}".')
    return sensible[0]


def parts_of(text: str) -> list[str]:
    """What stands between commas, semicolons or blanks; nothing has to follow the last."""
    parts = BETWEEN.split(text)
    return parts[:-1] if len(parts) > 1 and not parts[-1] else parts


def readings_of(text: str) -> Iterator[list[str]]:
    """Parts of a list by what its commas may be: between numbers, decimal, or of thousands."""
    decimal = DECIMAL_COMMA.sub(r"\1.\2", text)
    has_decimal = decimal != text and not re.search(r"\d,\d", decimal)
    parts = parts_of(text)
    if not (has_decimal and ";" in text) and not any(map(LEADING_ZERO.match, parts)):
        yield parts
    if has_decimal:
        yield parts_of(decimal)
    if (grouped := THOUSANDS_COMMA.sub(r"\1\2", text)) != text:
        yield parts_of(grouped)


def numbers_of(parts: list[str]) -> Numbers | None:
    found = [number for part in parts if (number := number_in(part)) is not None]
    if len(found) < len(parts):
        return None
    return tuple(int(number) if number.is_integer() else number for number in found)
