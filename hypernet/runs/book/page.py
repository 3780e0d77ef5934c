"""A run as one HTML page: settings, curves, previews and notices, with nothing to load beside it.

Names and captions are anybody's text. The page is built of elements, so that whatever stands in
them is escaped when it is written; and its policy lets no browser run or fetch anything.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from PIL import Image

from ..history import RunHistory, read_history
from ..preview_files import WITHOUT, preview_file, previewed_steps, read_about, thinned
from .drawing import Line, drawing, legend, short, tag
from .entries import Entry, read_entry
from .settings import SHAPE, TRAINED, Row, compared

MOST_PREVIEWS = 24
PIXELS = 512  # of a preview's longer side
QUALITY = 88  # of its JPEG
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
CHOSEN = {"training": TRAINED, "network": SHAPE}  # what settings are by default
STATES = {
    "finished": "Finished",
    "interrupted": "Stopped",
    "failed": "Failed",
    "unfinished": "Unfinished",
    "damaged": "Damaged",
}


def page_of(folder: Path, networks: Sequence[Path], name: str = "") -> bytes:
    """The page of a run, in UTF-8. name: the run's, if its folder lies in other folders."""
    entry, history = read_entry(folder, networks, name), read_history(folder)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", f"{entry.name} · Hypernet"),
        tag("style", Path(__file__).with_name("page.css").read_text("utf-8")),
    )
    main = tag("main", tag("h1", entry.name), *facts(entry))
    parts = {
        "Curves": curves(history),
        "Previews": previews(folder),
        "Notices": notices(history),
        "Settings": [tag("div", settings(compared([folder])), class_="wide")],
    }
    for title, content in parts.items():
        if content:
            main.append(tag("section", tag("h2", title), *content))
    html = tag("html", head, tag("body", main), lang="en")
    text = "<!DOCTYPE html>\n" + tostring(html, encoding="unicode", method="html")
    return text.encode("utf-8", "replace")  # a file's name may hold what no text does


def facts(entry: Entry) -> list[Element]:
    told = {
        "state": f"{STATES.get(entry.state, entry.state)}, {progress(entry)}",
        "network": entry.network,
        "model": entry.model,
        "loss": entry.smoothed and f"{short(entry.smoothed)} ({short(entry.loss or 0)} at last)",
        "probe": entry.probe and short(entry.probe),
        "took": entry.seconds and duration(entry.seconds),
        "changed": time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed)),
    }
    entries = [
        each for label, text in told.items() if text for each in (tag("dt", label), tag("dd", text))
    ]
    found = [tag("dl", *entries, class_="facts")]
    return [*found, tag("p", entry.why, class_="fault")] if entry.why else found


def progress(entry: Entry) -> str:
    return f"step {entry.step} of {entry.steps}" if entry.steps else f"step {entry.step}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def lines_of(history: RunHistory) -> dict[str, Line]:
    told = history.curves()
    columns = {"loss": ("smoothed", "last"), "probe": ("probe", "mean"), "rate": ("rate", "last")}
    labels = {"loss": "loss, smoothed", "probe": "probe", "rate": "learning rate"}
    return {
        kind: Line(kind, labels[kind], (told[curve]["step"], told[curve][column]))
        for kind, (curve, column) in columns.items()
    }


def curves(history: RunHistory) -> list[Element]:
    found, lines = [], lines_of(history)
    for shown in ([lines["loss"], lines["probe"]], [lines["rate"]]):
        drawn = drawing(shown, " · ".join(line.label for line in shown))
        if drawn is not None:
            last = {line.kind: short(line.points[1][-1]) for line in shown if line.points[1]}
            found += [legend(shown, last), drawn]
    return found


def previews(folder: Path) -> list[Element]:
    name = folder.name
    steps = thinned(previewed_steps(folder, name), MOST_PREVIEWS)
    found, said = [], ""
    for step in steps:
        label, file = f"step {step}" if step else WITHOUT, preview_file(folder, name, step)
        if not (data := picture_data(file)):
            continue
        words = str(read_about(file).get("prompt", ""))
        caption = label if words == said else f"{label}: {words}"
        said = words
        found.append(tag("figure", tag("img", src=data, alt=words), tag("figcaption", caption)))
    return [tag("div", *found, class_="previews")] if found else []


def picture_data(file: Path) -> str:
    """The picture as a data URL, in a size for a page; "" if it cannot be read."""
    content = io.BytesIO()
    try:
        with Image.open(file) as picture:
            picture.thumbnail((PIXELS, PIXELS))
            picture.convert("RGB").save(content, "JPEG", quality=QUALITY)
    except (OSError, ValueError, SyntaxError):  # Pillow raises all of these for damaged files
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def notices(history: RunHistory) -> list[Element]:
    said = [
        tag("li", tag("span", f"{step}: ", class_="quiet"), text) for step, text in history.notes
    ]
    return [tag("ul", *said)] if said else []


def settings(rows: Sequence[Row]) -> Element:
    """All settings; those that are not the defaults are marked."""
    body = tag("tbody")
    for part, each in groupby(rows, key=lambda row: row.part):
        title = tag("th", part, colspan=2, scope="rowgroup")
        body.append(tag("tr", title))
        for row in each:
            usual = CHOSEN.get(part, {})
            marked = row.name in usual and usual[row.name] != row.values[0]
            cells = tag("th", row.name, scope="row"), tag("td", *row.texts)
            body.append(tag("tr", *cells, **({"class": "chosen"} if marked else {})))
    return tag("table", body)
