"""How often pictures are shown, by rules such as `close-up = 2` and `*_bad* = 0.5`.

A rule names pictures by file name, by path inside the dataset, or by a tag of their caption, with
* and ? as in file names. Weights multiply the repeats that kohya's folder names give, and the
products become whole numbers in the same proportion: 0.5 for one picture is 2 for all others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from math import gcd, lcm

from ..text.parsing import folded, plain, single_number_in
from .tags import meaning, split_tags

FINEST = 20  # weights are rounded to a fraction with at most this below the line
LARGEST = 1000

Rule = tuple[str, Fraction]


def read_weights(text: str) -> tuple[Rule, ...]:
    """One rule a line. Raises ValueError quoting every line that is none."""
    rules, faults = [], []
    for line in filter(None, map(str.strip, text.splitlines())):
        place = folded(line).rfind("=")  # ＝ too
        pattern, weight = line[: max(place, 0)].strip(), weight_in(line[place + 1 :])
        if weight is None or not is_pattern(pattern):
            faults.append(f'"{line}"')
        elif weight > LARGEST:
            faults.append(f'"{line}" (at most {LARGEST})')
        else:
            rules.append((pattern.casefold(), weight.limit_denominator(FINEST)))
    if faults:
        raise ValueError(
            f"Weights {'; '.join(faults)}: write one a line, as in: close-up = 2. A weight is a "
            "number from 0, which leaves a picture out."
        )
    return tuple(rules)


def weight_in(text: str) -> Fraction | None:
    """0,5 is a half; 1,000 may be 1 or 1000."""
    number = plain(text).replace(",", ".")
    short = re.fullmatch(r"\d{1,9}(\.\d{1,9})?", number)
    return Fraction(number) if short and single_number_in(text) is not None else None


def is_pattern(text: str) -> bool:
    """Not if another rule is in it, as of `a = 2, b` = 3, or a second sign, as of `a =` = 2."""
    rules = re.search(r"=\s*[\d.]+\s*[,;\s]", folded(text))
    return bool(text) and not rules and not re.fullmatch("[^=]*=", folded(text))


def weight_of(name: str, caption: str, rules: Sequence[Rule]) -> Fraction:
    """By the first rule that fits, 1 if none does. name: the path inside the dataset."""
    tags = [meaning(tag) for tag in split_tags(caption)]
    path = name.casefold()
    for pattern, weight in rules:
        places = (path, path.rpartition("/")[2])
        if any(fnmatchcase(place, pattern) for place in places):
            return weight
        if any(fnmatchcase(tag, meaning(pattern)) for tag in tags):
            return weight
    return Fraction(1)


def weighted(repeats: Sequence[int], weights: Sequence[Fraction]) -> list[int]:
    """Repeats in proportion to repeats × weights, as small as whole numbers can be.

    Without weights they stay what they are. Raises ValueError if nothing is left to show.
    """
    if all(weight == 1 for weight in weights):
        return list(repeats)
    shares = [count * weight for count, weight in zip(repeats, weights, strict=True)]
    if not any(shares):
        raise ValueError("The weights leave out every picture. Give one of them more than 0.")
    whole = [int(share * lcm(*(share.denominator for share in shares))) for share in shares]
    common = gcd(*whole)
    return [count // common for count in whole]
