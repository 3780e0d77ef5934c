"""Reads numbers and lists as people type and paste them; ambiguous text is refused.

One character has many forms: ， ： １ from Chinese or Japanese keyboards, − and “ ” from word
processors, &lt; and no-break spaces from web pages. All of them are accepted. The surprise is the
comma: it separates numbers, but most of Europe writes 0,5 for a half. Where both readings make
sense, the error shows both.
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
WRAPPING = "[](){}\"'` "  # around a list that was copied from code or from a sentence

NUMBER = re.compile(r"[+-]?(\d+(_\d{3})*(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.I)
WHOLE = re.compile(r"[+-]?\d{1,30}(_\d{3}){0,4}")
POWER = re.compile(r"([+-]?[\d.]+)\s*[×x*·]\s*10\s*\^?\s*([+-]?\d+)", re.I)  # 5×10⁻⁵
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
CYRILLIC_E = str.maketrans("еЕ", "ee")
BETWEEN = re.compile(r"\s*[,;]\s*|\s+")
ALONE = r"(?<![\d.])(?<!\d,){}(?![\d.])(?!,\d)"  # not in 1,2,1
DECIMAL_COMMA = re.compile(ALONE.format(r"(\d+),(\d+)"))
THOUSANDS_COMMA = re.compile(ALONE.format(r"(\d{1,3}),(\d{3})"))
LEADING_ZERO = re.compile(r"[+-]?0\d")  # the "05" of 0,05: it is no number in a list
SMALL = 2  # two numbers up to this are a list: 0,1 means off and on


def folded(text: str) -> str:
    """The text with other keyboards' signs as ASCII; its length and positions stay the same."""
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


def visible_text(text: str) -> str:
    """As `folded`, without invisible characters and with HTML escapes decoded."""
    return folded(INVISIBLE.sub("", html.unescape(text))).strip()


def unwrapped(text: str) -> str:
    """As `plain`, without brackets and quotes around the whole text."""
    return visible_text(text).strip(f"{WRAPPING}\t\r\n")


def number_in(text: str) -> float | None:
    """The whole text as a number; None if it is no finite number."""
    text = visible_text(text).translate(CYRILLIC_E)
    if power := POWER.fullmatch(text.translate(RAISED)):
        text = f"{power[1]}e{power[2]}"
    number = float(text) if NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def is_boundless(text: str) -> bool:
    """Is it NaN or infinity? Python accepts them as numbers, but no input here does."""
    return bool(re.fullmatch("[+-]?(nan|inf|infinity)", visible_text(text), re.IGNORECASE))


def whole_in(text: str) -> int | None:
    """The whole text as an integer; None if it is none."""
    text = visible_text(text)
    return int(text) if WHOLE.fullmatch(text) else None


def single_number_in(text: str) -> float | None:
    """As `number_in`, where a list can't be meant: 0,8 is 0.8.

    1,000 gives None, because it can be 1 or 1000.
    """
    comma = re.fullmatch(r"([+-]?\d+),(\d+)", visible_text(text))
    if comma and (len(comma[2]) != 3 or int(comma[1]) == 0):
        return number_in(f"{comma[1]}.{comma[2]}")
    return number_in(text)


def read_numbers(
    text: str, what: str, example: str, makes_sense: Callable[[Numbers], bool] | None = None
) -> Numbers:
    """The numbers of a list separated by commas, semicolons or blanks; whole ones as int.

    what: the list's name in messages. makes_sense: decides whether 0,5 is one number or two;
    without it a comma always separates.

    Raises ValueError quoting the text if a part is no number, or if the text is ambiguous.
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
    """The parts between commas, semicolons or blanks. A trailing comma is allowed."""
    parts = BETWEEN.split(text)
    return parts[:-1] if len(parts) > 1 and not parts[-1] else parts


def readings_of(text: str) -> Iterator[list[str]]:
    """The parts of a list for every meaning of its commas: separators, decimals, thousands."""
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
