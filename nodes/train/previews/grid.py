"""The grid of previews: a row for each prompt, the bare model's column first, then one per preview.

The grid is put together from the files in the run's folder, one picture at a time. So it costs the
memory of one picture however many there are, and a resumed run shows what was drawn before.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from hypernet.disk_space import DiskFull
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.pictures.grid import Sheet, fitting
from hypernet.runs.preview_files import preview_file, previewed_steps, read_about, thinned

from .... import compat
from .drawing import Previewer, Row

MOST_COLUMNS = 24  # with a network; of more previews, every n-th is in the grid
MOST_PIXELS = 12_000_000
BESIDE = 200  # pixels that the words beside a row may be wide, or half a picture

Save = Callable[[Path, Tensor, dict[str, str]], None]  # file, IMAGE, texts


@dataclass(frozen=True, kw_only=True)
class PreviewGrid:
    """The pictures of a run's previews.

    folders: where they may lie; the first is written to. name: the run's, without folders.
    """

    previewer: Previewer
    folders: Sequence[Path]
    name: str

    def file(self, row: Row, step: int | None, folder: Path) -> Path:
        """Where the row's picture after this step lies; None means without the network."""
        return preview_file(folder, self.name, step, self.key(row, step))

    def key(self, row: Row, step: int | None) -> str:
        if step is None:
            return row.key(self.previewer.model_hash)
        return "" if row is self.previewer.first else row.key()

    def find(self, row: Row, step: int | None) -> Path | None:
        is_first = row is self.previewer.first
        has_key = step is None or not is_first
        for folder in self.folders:
            file, bare = self.file(row, step, folder), preview_file(folder, self.name, 0)
            if file.is_file() and (has_key or shows(row, file)):
                return file
            if is_first and step is None and bare.is_file() and shows(row, bare):
                return bare  # drawn before training
        return None

    def steps(self, done: int) -> list[int]:
        """The steps that have a picture of any row, up to this one."""
        found = set()
        for row in self.previewer.rows:
            key = self.key(row, done)
            each = {n for folder in self.folders for n in previewed_steps(folder, self.name, key)}
            found |= {n for n in each - found if 0 < n <= done and self.find(row, n)}
        return sorted(found)

    def draw(
        self, network: Hypernetwork, save: Save, say: Callable[[str], object], *, anew: bool
    ) -> None:
        """Draw a column, without the first row, which is the preview that was drawn before.

        Also draws what the column without the network lacks. anew: draw pictures of this step even
        if they are there. What fails is said, and the others are drawn.
        """
        done = network.record.step
        for row, step in self.wanted(done, anew):
            compat.raise_if_interrupted()
            try:
                self.draw_one(network, row, step, save)
            except DiskFull as fault:
                say(str(fault))
                return
            except Exception as fault:  # usually out of memory, but samplers raise any kind
                text = self.previewer.words_after(done, row).text
                say(f'There is no preview of "{text}" after step {done}: {fault}')

    def wanted(self, done: int, anew: bool) -> Iterator[tuple[Row, int | None]]:
        for row in self.previewer.rows:
            if self.find(row, None) is None:
                yield row, None
            if row is not self.previewer.first and (anew or self.find(row, done) is None):
                yield row, done

    def draw_one(self, network: Hypernetwork, row: Row, step: int | None, save: Save) -> None:
        done, drawn = network.record.step, None if step is None else network
        picture = self.previewer.draw(drawn, row, done)
        texts = self.previewer.texts(drawn, row, done, picture)
        save(self.file(row, step, self.folders[0]), picture, texts)

    def columns(self, done: int) -> list[int | None]:
        return [None, *thinned(self.steps(done), MOST_COLUMNS)]

    def sheet(self, done: int) -> Image.Image:
        """The grid of what was drawn until this step. Places without a picture are grey."""
        rows, columns = self.previewer.rows, self.columns(done)
        sizes = fitting(
            [(row.shown.width, row.shown.height) for row in rows], len(columns), MOST_PIXELS
        )
        heads = ["without" if step is None else f"step {step:,}" for step in columns]
        labels = self.previewer.settings.labels()
        beside = max(BESIDE, max(width for width, _ in sizes) // 2)
        sheet = Sheet(sizes, len(columns), heads, labels, beside=beside)
        for place, row in enumerate(rows):
            for column, step in enumerate(columns):
                sheet.put(place, column, opened(self.find(row, step)))
        return sheet.image

    def texts(self, network: Hypernetwork) -> dict[str, str]:
        """The PNG's texts: what it shows as JSON, and the graph. lacking: pictures that failed."""
        done = network.record.step
        about = {
            "name": network.record.name, "step": done, "columns": self.columns(done),
            "rows": [row.shown.line or row.shown.prompt for row in self.previewer.rows],
            "lacking": len(list(self.wanted(done, anew=False))),
        }  # fmt: skip
        return self.previewer.graph_texts() | {"hypernet": json.dumps(about, ensure_ascii=False)}


def shows(row: Row, file: Path) -> bool:
    """Does the file say that it shows this row?"""
    about, wanted = read_about(file), row.shown
    expected = {
        "negative": wanted.negative, "seed": wanted.seed, "steps": wanted.steps,
        "cfg": wanted.cfg, "size": (wanted.width, wanted.height),
    }  # fmt: skip
    if wanted.prompt:
        expected["prompt"] = wanted.prompt
    return expected == {name: about.get(name) for name in expected}


def opened(file: Path | None) -> Image.Image | None:
    """The picture; None if there is none, or if it is damaged."""
    if file is None:
        return None
    try:
        with Image.open(file) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None
