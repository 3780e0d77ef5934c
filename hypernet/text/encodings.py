"""Finds the encoding of a text file, and returns None unless it is certain.

Captions come from editors of every country, and a dozen bytes of "ANSI" text can be a sentence in
several encodings. UTF-8 and byte order marks are recognised for certain. Every other candidate is
an encoding together with a script and its common letters. The likelihood of a text is that of its
letters. The best candidate is accepted only if its letters are likely at all and no other candidate
comes close. Libraries that always guess are wrong about a third of captions of a few words.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from .common_letters import CYRILLIC, HANGUL, KANJI, SIMPLIFIED, TRADITIONAL

MOST = 600  # bytes that are examined; more don't make the answer more certain
SURE = 5.0  # log of how much likelier the best must be than any other: 150 times
LEAST = -9.0  # lowest mean log likelihood of the letters beyond ASCII in a real text
LEAST_OF_ONE_BYTE = {"cp1251": -3.9, "koi8_r": -3.9, "cp1252": -4.5}

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NAMES = {  # the names that people know
    "gb18030": "GBK", "cp950": "Big5", "cp932": "Shift-JIS", "euc_jp": "EUC-JP", "cp949": "EUC-KR",
    "cp1251": "Windows-1251", "koi8_r": "KOI8-R", "cp1252": "Windows-1252", "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16", "utf-8": "UTF-8 with broken bytes",
}  # fmt: skip


@dataclass(frozen=True)
class Text:
    """The content of a text file. encoding: "" for UTF-8 and for files with a byte order mark."""

    words: str
    encoding: str = ""


def recognise(written: bytes, neighbours: str = "") -> Text | None:
    """The text, or None if the bytes are no text or fit more than one encoding.

    neighbours: the encoding of the files in the same folder, which decides where the bytes alone
    don't.
    """
    for mark, encoding in MARKS:
        if written.startswith(mark):
            return Text(written.decode(encoding, "replace"))
    try:
        words = written.decode("utf-8")
        if is_text(words) and not may_be_chance(words):
            return Text(words)
    except UnicodeDecodeError:
        pass
    if b"\0" in written:
        return utf16_without_mark(written)
    return without_broken_bytes(written) or likeliest(written, neighbours)


def decode(written: bytes) -> str:
    """The words, or "" if their encoding is not certain."""
    text = recognise(written)
    return text.words if text else ""


def is_text(words: str) -> bool:
    """Are there no control characters except line ends, tabs and the Ctrl-Z that ends DOS files?"""
    return not re.search("[\\x00-\\x08\\x0e-\\x19\\x1b-\\x1f\\x7f\ufffd]", words)


def may_be_chance(words: str) -> bool:
    """Could bytes of another encoding be valid UTF-8 by chance?

    One GBK letter in six is: the cat, 猫, reads as "è".
    """
    if words.isascii():
        return False
    beyond = [letter for letter in words if letter > "\x7f"]
    if len(beyond) > 3 or any(letter >= "\u0800" for letter in beyond):
        return False
    runs = re.finditer("[^\\x00-\\x7f]+", words)
    return not all(stands_in_a_word(words, *run.span()) for run in runs)


def stands_in_a_word(words: str, start: int, end: int) -> bool:
    """Does this run of letters beyond ASCII stand where an alphabetic language has one?"""
    run, before, after = words[start:end], words[:start], words[end:]
    if re.search("[a-zA-Z0-9]$", before) or re.match("[a-zA-Z0-9]", after):
        return True
    if len(run) == 1:
        beside = re.search("[a-zA-Z0-9] $", before) or re.match(" [a-zA-Z0-9]", after)
        return bool(beside) and run.lower() in ALONE
    return is_russian_word(run) or bool(OTHER_WORD.fullmatch(run))


def utf16_without_mark(written: bytes) -> Text | None:
    """Decode in the byte order that gives more common letters; None if neither gives enough."""
    both = [written.decode(encoding, "replace") for encoding in ("utf-16-le", "utf-16-be")]
    words = max(both, key=count_common)
    fine = is_text(words) and words.strip() and count_common(words) > len(words) / 2
    return Text(words, NAMES["utf-16-le"]) if fine else None


def count_common(words: str) -> int:
    """How many letters are common in one of the scripts below."""
    writings = (SIMPLIFIED_CHINESE, TRADITIONAL_CHINESE, JAPANESE, KOREAN)
    return sum(
        "\t" <= letter < "\u0500"
        or "\u3041" <= letter <= "\u30fc"
        or any(letter in writing.common or letter in writing.marks for writing in writings)
        for letter in words
    )


def without_broken_bytes(written: bytes) -> Text | None:
    """UTF-8 with a few broken bytes, which become blanks; None if it mixes scripts."""
    words = written.decode("utf-8", "replace")
    broken = words.count("\ufffd")
    words = words.replace("\ufffd", " ")
    letters = [letter for letter in words if letter > "\x7f" and letter.isalpha()]
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
    if not broken or len(letters) < 4 * broken or not is_text(words):
        return None
    one = len(scripts) == 1 or scripts <= {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}
    return Text(words, NAMES["utf-8"]) if one else None


# --- candidates ----------------------------------------------------------------------------------


def likeliest(written: bytes, neighbours: str) -> Text | None:
    """The best candidate's text, if it is good and far likelier than every other reading."""
    sample = written[:MOST]
    readings: dict[str, Reading] = {}
    for encoding, likelihood in candidates():
        words = decoded(sample, encoding)
        if words is not None:
            reading = Reading(likelihood(words), likelihood(words, DOUBT), words, encoding)
            readings[words] = max(reading, readings.get(words, reading))
    expected = [r for r in readings.values() if NAMES[r.encoding] == neighbours and r.is_good]
    best = max(expected or readings.values(), default=None)
    if best is None or not best.is_good:
        return None
    others = [reading for reading in readings.values() if reading.words != best.words]
    nearest = max((reading.at_most for reading in others), default=-math.inf)
    if not expected and best.likelihood - nearest < SURE:
        return None
    return Text(written.decode(best.encoding, "replace"), NAMES[best.encoding])


class Reading(NamedTuple):
    """What the bytes say in one encoding. Both likelihoods are logarithms."""

    likelihood: float
    at_most: float  # with less of a penalty for uncommon letters
    words: str
    encoding: str

    @property
    def is_good(self) -> bool:
        """Are its letters beyond ASCII likely at all?"""
        latin = sum(letter <= "\x7f" for letter in self.words)
        least = LEAST_OF_ONE_BYTE.get(self.encoding, LEAST)
        return self.likelihood - latin * LATIN >= least * (len(self.words) - latin)


def decoded(sample: bytes, encoding: str) -> str | None:
    """The words; None if the bytes are not valid. A letter cut off by the sample's end is fine."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        words = decoder.decode(sample, final=len(sample) < MOST)
    except UnicodeDecodeError:
        return None
    private = any("\ue000" <= letter <= "\uf8ff" for letter in words)
    return words if is_text(words) and not private else None


Likelihood = Callable[..., float]


def candidates() -> Iterator[tuple[str, Likelihood]]:
    for encoding, *writings in (
        ("gb18030", SIMPLIFIED_CHINESE, TRADITIONAL_CHINESE),
        ("cp950", TRADITIONAL_CHINESE),
        ("cp932", JAPANESE),
        ("euc_jp", JAPANESE),
        ("cp949", KOREAN),
        ("utf-16-le", SIMPLIFIED_CHINESE, TRADITIONAL_CHINESE, JAPANESE, KOREAN),
        ("utf-16-be", SIMPLIFIED_CHINESE, TRADITIONAL_CHINESE, JAPANESE, KOREAN),
    ):
        seldom = UNMARKED if encoding.startswith("utf-16") else 0.0
        for writing in writings:
            yield encoding, partial(likelihood, writing, seldom)
    yield from (("cp1251", russian), ("koi8_r", russian_in_koi8), ("cp1252", western))


# --- writings ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writing:
    """The letters of a language: common ones, punctuation, and a test for the rest."""

    common: frozenset[str]
    marks: str  # punctuation
    known: Callable[[str], bool]  # does an uncommon letter belong to the language?
    kana: bool = False


# Log likelihoods:
LATIN = -3.4  # of an ASCII letter
RARE = -16.0  # of a letter that the language doesn't use
UNMARKED = -5.0  # of UTF-16 without a byte order mark, which hardly any editor writes
GLUED = -6.0  # of a letter beyond ASCII directly beside a small ASCII letter
CHINESE_MARKS = "，。、！？：；（）“”‘’…—《》「」『』·　"


UNCOMMON = -10.5  # log likelihood of an uncommon letter of the language
DOUBT = -8.2  # the same, judged generously, for the rivals of the best candidate


def likelihood(writing: Writing, seldom: float, words: str, uncommon: float = UNCOMMON) -> float:
    """Log likelihood of these words in that language. seldom: log likelihood of the encoding."""
    each = math.log(0.85 / len(writing.common))
    total = seldom
    for letter in words:
        if letter <= "\x7f":
            total += LATIN
        elif letter in writing.common:
            total += each
        elif letter in writing.marks:
            total += -5.0
        elif writing.kana and "\u3041" <= letter <= "\u30fc":
            total += -4.6
        elif writing.known(letter):
            total += uncommon
        else:
            total += RARE
    return total + GLUED * len(re.findall("[a-z][^\\x00-\\x7f]|[^\\x00-\\x7f][a-z]", words))


def first_byte_between(encoding: str, first: int, last: int) -> Callable[[str], bool]:
    """A test for frequent letters: character sets keep them together, by their first byte."""

    def known(letter: str) -> bool:
        return first <= letter.encode(encoding, "replace")[0] <= last

    return known


SIMPLIFIED_CHINESE = Writing(
    frozenset(SIMPLIFIED), CHINESE_MARKS, first_byte_between("gb2312", 0xB0, 0xD7)
)
TRADITIONAL_CHINESE = Writing(
    frozenset(TRADITIONAL), CHINESE_MARKS, first_byte_between("big5", 0xA4, 0xC6)
)
JAPANESE = Writing(
    frozenset(KANJI),
    "、。！？（）「」『』・…ー　",
    first_byte_between("euc_jp", 0xB0, 0xCF),
    kana=True,
)
KOREAN = Writing(frozenset(HANGUL), "，。！？…·“”‘’", first_byte_between("euc_kr", 0xB0, 0xC8))


# --- one-byte encodings --------------------------------------------------------------------------

WORDS = re.compile(r"[^\W\d_]+")
OTHER_WORD = re.compile("[\u0386-\u03ce]+|[\u0531-\u0587]+|[\u05d0-\u05ea]+|[\u0621-\u064a]+")
ALONE = frozenset("àèéíòóáåö·–©×«»°§")  # what may stand alone: one-letter words and signs
RUSSIAN_MARKS = "«»—–…№“”„’ ёЁ°·\xa0"
VOWELS = frozenset("аеёиоуыэюяіїє")
UKRAINIAN = frozenset("іїєґ")


def russian(words: str, uncommon: float = UNCOMMON) -> float:
    """Log likelihood, as in `likelihood`, for Russian and Ukrainian."""
    total = 0.0
    for letter in words:
        if letter <= "\x7f":
            total += LATIN
        elif (rank := CYRILLIC.find(letter.lower())) >= 0:
            total += -2.6 if rank < 10 else -3.7 if rank < 20 else -5.0
        elif letter.lower() in UKRAINIAN or letter in RUSSIAN_MARKS:
            total += -5.0
        else:
            total += RARE
    found = [word for word in WORDS.findall(words) if not word.isascii()]
    strange = [word for word in found if not is_russian_word(word)]
    if all(len(word) == 1 for word in found):  # the French "à" also reads as a Russian word
        strange += found[:1] or [""]
    shouted = sum(len(word) > 1 and word.isupper() for word in found)
    return total - 12.0 * len(strange) - 4.0 * shouted


def russian_in_koi8(words: str, uncommon: float = UNCOMMON) -> float:
    """Russian with a penalty for capitals, for KOI8-R.

    KOI8-R has small letters where other encodings have capitals, so their texts look capitalised.
    """
    shouted = sum(word.isupper() for word in WORDS.findall(words) if not word.isascii())
    return russian(words, uncommon) - 12.0 * shouted


def is_russian_word(word: str) -> bool:
    cased = word.islower() or word.isupper() or word.istitle()
    cyrillic = all("\u0400" <= letter < "\u0500" for letter in word)
    return cased and cyrillic and (len(word) == 1 or not VOWELS.isdisjoint(word.lower()))


WESTERN_MARKS = "“”‘’„‚‹›«»–—…•°½¼¾²³×±©®™€£§¿¡·ºª´\xa0"
JOINED = "“”‘’…«»–—"  # may follow another mark
INSIDE = "’‘´–—·\xa0"  # may stand between two letters
WESTERN = tuple(
    map(
        frozenset,
        (
            "éèêëïçñöüäûâàôîœæ",  # English, in loanwords
            "àâæçèéêëîïôùûüÿœ",  # French
            "äöüßé",  # German
            "áéíóúüñç",  # Spanish
            "áâãàçéêíóôõúü",  # Portuguese
            "àèéìíîòóùú",  # Italian
            "åäöæøéüà",  # the Nordic languages
            "áéíóúýþæöð",  # Icelandic
            "áàäâéèëêíïìóòöôúùüûç",  # Dutch, Catalan
        ),
    )
)


def western(words: str, uncommon: float = UNCOMMON) -> float:
    """Log likelihood, as in `likelihood`, for the languages that Windows-1252 was made for."""
    letters = frozenset(x for x in words.lower() if x > "\x7f" and x.isalpha() and x not in "ºª")
    fits = any(letters <= language for language in WESTERN)
    total = 0.0
    for place, letter in enumerate(words):
        before, after = words[:place][-1:], words[place + 1 :][:1]
        lone = not before.isalnum() and not after.isalnum()
        if letter <= "\x7f":
            total += LATIN
        elif letter in WESTERN_MARKS:
            inside = before.isalpha() and after.isalpha() and letter not in INSIDE
            joined = before in WESTERN_MARKS and letter not in JOINED
            total += RARE if inside or (before and joined) else -4.0
        elif lone and not stands_in_a_word(words, place, place + 1):
            total += RARE
        elif not fits or not letter.isalpha() or (before.islower() and letter.isupper()):
            total += RARE
        else:
            total += -4.0
    strange = [w for w in WORDS.findall(words) if len(w) > 1 and not re.search("[a-zA-Z]", w)]
    runs = re.findall("[^\x00-\x7f]{3,}", "".join(x if x.isalpha() else " " for x in words))
    return total - 8.0 * (len(strange) + len(runs))
