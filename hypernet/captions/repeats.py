"""Rules that change how often pictures are shown, such as `close-up = 2` and `*_bad* = 0.5`.

A rule matches pictures by file name, by path inside the dataset, or by a tag of their caption, with
the wildcards * and ?. Weights multiply the repeats from kohya's folder names. The products are then
scaled to whole numbers: a weight of 0.5 for one picture shows all others twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from math import gcd, lcm

from ..text.parsing import folded, single_number_in, visible_text
from .tags import meaning, split_tags

FINEST = 20  # weights are rounded to a fraction with at most this denominator
LARGEST = 1000

Rule = tuple[str, Fraction]


def read_rules(text: str) -> tuple[Rule, ...]:
    """Read one rule per line. Raises ValueError quoting every line that is no rule."""
    rules, faults = [], []
    for line in filter(None, map(str.strip, text.splitlines())):
        place = folded(line).rfind("=")  # finds the full-width ＝ too
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
    """The weight, or None. 0,5 is a half; 1,000 is refused, because it can be 1 or 1000."""
    number = visible_text(text).replace(",", ".")
    short = re.fullmatch(r"\d{1,9}(\.\d{1,9})?", number)
    return Fraction(number) if short and single_number_in(text) is not None else None


def is_pattern(text: str) -> bool:
    """Is it a pattern? Not if it contains another rule, as in `a = 2, b` = 3, or ends in "="."""
    rules = re.search(r"=\s*[\d.]+\s*[,;\s]", folded(text))
    return bool(text) and not rules and not re.fullmatch("[^=]*=", folded(text))


def weight_of(name: str, caption: str, rules: Sequence[Rule]) -> Fraction:
    """The weight of the first rule that matches; 1 if none does. name: path inside the dataset."""
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
    """The smallest whole numbers in proportion to repeats × weights.

    If all weights are 1, the repeats are unchanged. Raises ValueError if nothing is left to show.
    """
    if all(weight == 1 for weight in weights):
        return list(repeats)
    shares = [count * weight for count, weight in zip(repeats, weights, strict=True)]
    if not any(shares):
        raise ValueError("The weights leave out every picture. Give one of them more than 0.")
    whole = [int(share * lcm(*(share.denominator for share in shares))) for share in shares]
    common = gcd(*whole)
    return [count // common for count in whole]
