"""Reads prompts for previews, one a line, in the form of kohya's sample files.

    a red dog --n blurry --w 512 --h 768 --d 1 --l 7.5 --s 28
    # a comment

A flag begins with two dashes after a blank, and its value ends before the next one. The form is
that of kohya-ss/sd-scripts (`line_to_prompt_dict`), which passes over flags that it does not know
and rounds sizes; here both are errors, because one would look for them in the pictures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .parsing import single_number_in, whole_in

MULTIPLE = 8  # pixels
LONGEST = 120  # letters of a line that a message quotes

# kohya's flags, and longer ones that say what they are. Capitals count as small letters.
FLAGS = {
    "n": "negative", "neg": "negative", "d": "seed", "seed": "seed", "w": "width", "h": "height",
    "l": "cfg", "cfg": "cfg", "s": "steps", "steps": "steps",
}  # fmt: skip
REACH = {
    "seed": (-1, 2**53), "width": (0, 8192), "height": (0, 8192), "cfg": (0, 100),
    "steps": (1, 1000),
}  # fmt: skip
FLAG = re.compile(r"(?:^|\s+)--(?=\S)")
# Phones and word processors make one long dash of two short ones.
LONG_DASH = re.compile(rf"(?<!\S)[—–―－]{{1,2}}(?=(?:{'|'.join(FLAGS)})\s)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SamplePrompt:
    """A line. None: it says nothing of that. A seed of −1 and sizes of 0 leave it open, too."""

    line: str
    prompt: str
    negative: str | None = None
    seed: int | None = None
    steps: int | None = None
    cfg: float | None = None
    width: int | None = None
    height: int | None = None


def prompt_lines(text: str) -> list[str]:
    """The lines that hold a prompt: those that are neither empty nor comments."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def read_sample_prompt(line: str) -> SamplePrompt:
    """Raises ValueError with all faults of the line, each quoting it."""
    prompt, *parts = FLAG.split(LONG_DASH.sub("--", line.strip()))
    faults, found = [], {}
    for part in parts:
        flag, text = (*part.split(maxsplit=1), "")[:2]
        name = FLAGS.get(flag.lower())
        try:
            if name is None:
                raise ValueError(
                    f"there is no --{flag}. Write --n or --neg, --d or --seed, --w, --h, "
                    "--l or --cfg, --s or --steps."
                )
            if name in found:
                raise ValueError(f"--{flag} gives a second {name}; leave one of them.")
            found[name] = text.strip() if name == "negative" else number(name, flag, text)
        except ValueError as fault:
            faults.append(in_line(line, fault))
    if not prompt.strip():
        faults.append(without_prompt(line))
    if faults:
        raise ValueError(" ".join(faults))
    return SamplePrompt(line=line.strip(), prompt=prompt.strip(), **found)


def number(name: str, flag: str, text: str) -> float:
    """The value of a flag. Raises ValueError saying what would be right."""
    value = single_number_in(text) if name == "cfg" else whole_in(text)
    least, most = REACH[name]
    if value is None and name == "cfg":
        raise ValueError(f'--{flag} "{text}" is not a number. Write it like --{flag} 7.5.')
    if value is None:
        example = 20 if name == "steps" else 512
        raise ValueError(
            f'--{flag} "{text}" is not a whole number. Write it like --{flag} {example}.'
        )
    if not least <= value <= most:
        raise ValueError(f"--{flag} {value:g} is not from {least} to {most}.")
    if name in ("width", "height") and value % MULTIPLE:
        near = int(value // MULTIPLE * MULTIPLE)
        raise ValueError(
            f"--{flag} {value} is not a multiple of {MULTIPLE} pixels. Write {near} or "
            f"{near + MULTIPLE}."
        )
    return value


def without_prompt(line: str) -> str:
    """The error message about a line with flags or tags alone."""
    return f'"{line[:LONGEST]}" has no prompt. Write what it shall show before the flags.'


def in_line(line: str, fault: ValueError) -> str:
    return f'"{line[:LONGEST]}": {fault}'
