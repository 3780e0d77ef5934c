"""What previews show and how they are drawn, as the node's inputs ask for it.

Several prompts, one a line, make a grid; each may have flags of its own (sample_prompts.py).
"""

from dataclasses import dataclass, field

from hypernet.apply.prompt_tags import take_out_tags
from hypernet.text.sample_prompts import (
    MULTIPLE,
    prompt_lines,
    read_sample_prompt,
    without_prompt,
)

LONGEST = 80  # letters of a label


@dataclass(frozen=True, kw_only=True)
class PreviewPrompt:
    """One prompt, and how it is drawn.

    prompt: "" for the caption that is being learnt. seed: −1 for the training's. width, height: 0
    for the training's. control: it shows something that the network should leave as it is. line:
    as it was written, with its flags.
    """

    prompt: str
    negative: str
    seed: int
    steps: int
    cfg: float
    width: int
    height: int
    control: bool = False
    line: str = ""


@dataclass(frozen=True, kw_only=True)
class PreviewSettings:
    """How to draw previews.

    every: updates between previews; 0 for only one at the end. prompt: "" for the caption that is
    being learnt, or for the first of `prompts`. prompts, control: more of them, one a line; then
    all make a grid. Tags such as <hypernet:…> are taken out of prompts, as A1111 does for previews.
    seed: −1 for the training's. width, height: 0 for the training's.

    Raises ValueError with all faults in one message.
    """

    every: int = 0
    prompt: str = ""
    negative: str = ""
    seed: int = -1
    steps: int = 20
    cfg: float = 7.0
    width: int = 0
    height: int = 0
    prompts: str = ""
    control: str = ""
    taken_out: tuple[str, ...] = field(default=(), init=False)  # tags that were in the prompts
    rows: tuple[PreviewPrompt, ...] = field(default=(), init=False)  # the first is the preview

    def __post_init__(self) -> None:
        faults = [
            f"preview_{name} {getattr(self, name)}: give a multiple of {MULTIPLE} pixels, or 0 "
            "for the training size."
            for name in ("width", "height")
            if getattr(self, name) % MULTIPLE or getattr(self, name) < 0
        ]
        if self.every < 0:
            faults.append(f"preview_every {self.every}: give 0 (at the end alone) or more.")
        for name in ("prompt", "negative"):
            try:
                object.__setattr__(self, name, self._without_tags(getattr(self, name)))
            except ValueError as fault:
                faults.append(f"preview_{name}: {fault}")
        rows = []
        for name in ("prompts", "control"):
            try:
                rows += self._rows(getattr(self, name), control=name == "control")
            except ValueError as fault:
                faults.append(f"preview_{name}: {fault}")
        if self.prompt or not rows or rows[0].control:
            rows = [self._drawn_as_set(self.prompt), *rows]
        object.__setattr__(self, "rows", tuple(rows))
        if faults:
            raise ValueError(" ".join(faults))

    def _rows(self, text: str, control: bool) -> list[PreviewPrompt]:
        rows, faults = [], []
        for line in prompt_lines(text):
            try:
                rows.append(self._row(line, control))
            except ValueError as fault:
                faults.append(str(fault))
        if faults:
            raise ValueError(" ".join(faults))
        return rows

    def _without_tags(self, prompt: str) -> str:
        clean, tags = take_out_tags(prompt)
        object.__setattr__(self, "taken_out", (*self.taken_out, *tags))
        return clean

    def _row(self, line: str, control: bool) -> PreviewPrompt:
        asked = read_sample_prompt(line)
        prompt = self._without_tags(asked.prompt)
        if not prompt:
            raise ValueError(without_prompt(line))
        said = {
            name: getattr(asked, name)
            for name in ("seed", "steps", "cfg", "width", "height")
            if getattr(asked, name) is not None
        }
        if asked.negative is not None:
            said["negative"] = self._without_tags(asked.negative)
        return self._drawn_as_set(prompt, control=control, line=line, **said)

    def _drawn_as_set(self, prompt: str, **said) -> PreviewPrompt:
        """A prompt drawn as these settings say, apart from what is said."""
        names = ("negative", "seed", "steps", "cfg", "width", "height")
        drawn = {name: getattr(self, name) for name in names}
        return PreviewPrompt(prompt=prompt, **drawn | said)

    @property
    def has_grid(self) -> bool:
        return any(row.line for row in self.rows)

    def is_due(self, done: int) -> bool:
        return self.every > 0 and done % self.every == 0

    def labels(self) -> list[str]:
        """The rows' labels. Rows that share a prompt are labelled with their flags, too."""
        prompts = [row.prompt for row in self.rows]
        labels = []
        for row in self.rows:
            text = row.line if row.line and prompts.count(row.prompt) > 1 else row.prompt
            text = " ".join(text.split()) or "(the caption)"
            text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
            labels.append(f"control: {text}" if row.control else text)
        return labels


def check_prompts(*, prompts: str = "", control: str = "") -> None:
    """Raises ValueError without the input's name if the lines of one input are bad."""
    try:
        PreviewSettings(prompts=prompts, control=control)
    except ValueError as fault:
        raise ValueError(str(fault).partition(": ")[2]) from fault
