"""The grid of previews on Train Hypernet: while it trains and at the end, whole and once."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from PIL import Image

from hypernet.pictures.grid import GAP
from hypernet.runs.preview_files import grid_file, preview_file, read_about

PROMPTS = "red heart\npizza --seed 3 --neg blur"
CONTROL = "tree"
ROWS, COLUMNS = 3, [None, 2, 3]  # the end is no multiple of preview_every
TRAINER = "const node = app.graph.nodes.find((each) => each.type === 'HypernetTrain');"
# Its pictures, whichever renderer draws them, and whether each is within the node.
SHOWN = f"""
{TRAINER}
const box = document.querySelector(`[data-node-id="${{node.id}}"]`);
if (!box) {{
  const {{y, computedHeight}} = node.widgets.find(({{name}}) => name === "$$canvas-image-preview");
  return node.imgs.map(({{src}}) => ({{src, inside: y + computedHeight <= node.size[1]}}));
}}
const edges = box.getBoundingClientRect();
return [...box.querySelectorAll("img")].map((each) => {{
  const {{left, top, right, bottom}} = each.getBoundingClientRect();
  const inside = left >= edges.left && right <= edges.right;
  return {{src: each.src, inside: inside && top >= edges.top && bottom <= edges.bottom}};
}});
"""


def test_the_node_shows_the_whole_grid_of_previews_once(editor):
    name = f"grid_{editor.look}"
    editor.load_training(
        name, COLUMNS[-1], preview_prompt="", preview_prompts=PROMPTS, preview_control=CONTROL
    )
    editor.run("await app.extensionManager.command.execute('Hypernet.DemoModel')")
    assert editor.end_of(editor.queue(), seconds=400) == "success", editor.host.words()[-2000:]

    folder = editor.host.base / "output" / "hypernet" / name
    assert read_about(grid_file(folder))["columns"] == COLUMNS
    grid, bare = pixels(grid_file(folder)), pixels(preview_file(folder, name, 0))
    live = [opened_live(data) for event, data in editor.events if event == "preview"]
    high, side = grid.shape[0], bare.shape[0]
    width_but_for_the_end = grid.shape[1] - side - GAP
    assert live[-1] == (width_but_for_the_end, high), "in its own size"

    look_at_pictures(editor)
    (shown,) = editor.run(SHOWN)
    assert shown["inside"]
    answer = editor.page.request.get(shown["src"])
    assert (pixels(BytesIO(answer.body())) == grid).all()
    left, top = grid.shape[1] - len(COLUMNS) * (side + GAP), high - ROWS * (side + GAP)
    assert left > GAP and top > GAP, "labels are beside and above"
    assert (grid[top : top + side, left : left + side] == bare).all()
    editor.shot("preview-grid")


def opened_live(frame: bytes) -> tuple[int, int]:
    """The size of a picture that was sent while the node ran."""
    _, length = struct.unpack(">II", frame[:8])
    return Image.open(BytesIO(frame[8 + length :])).size


def pixels(file) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"), dtype=int)


def look_at_pictures(editor) -> None:
    """Move the lower end of the trainer into the window, so large that labels can be read."""
    editor.page.wait_for_timeout(1000)  # until the node has made room for its picture
    editor.run(
        f"""
        {TRAINER}
        const box = document.querySelector(`[data-node-id="${{node.id}}"]`);
        const view = app.canvas.ds;
        view.scale = 2;
        const bottom = node.pos[1] + (box ? box.offsetHeight - 30 : node.size[1]);
        view.offset = [300 / view.scale - node.pos[0], 900 / view.scale - bottom];
        app.canvas.setDirty(true, true);
        """
    )
    editor.page.wait_for_timeout(800)
