"""The grid of previews: what is in it and where, what it costs, what a resumed run makes of it."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from hypernet_pack import compat
from hypernet_pack.compat.standalone.progress import request_interrupt
from hypernet_pack.nodes.train.material import EncodedPrompt
from hypernet_pack.nodes.train.previews.drawing import Previewer, Row
from hypernet_pack.nodes.train.previews.grid import PreviewGrid
from hypernet_pack.nodes.train.previews.settings import PreviewSettings
from hypernet_pack.nodes.train.train_hypernet import TrainHypernet
from PIL import Image

from hypernet import HypernetSpec, Hypernetwork, Record, open_network
from hypernet.pictures.grid import GAP, NOTHING
from hypernet.runs.preview_files import grid_file, read_about, write_picture

SIDE = 32  # of the pictures
SHORT = dict(
    steps=4, batch_size=1, accumulation=1, save_every=0, preview_steps=1, preview_every=2,
    preview_width=SIDE, preview_height=SIDE,
)  # fmt: skip
PROMPTS = "blue cat --d 7\n# a comment\n\ngreen dog --n red --w 16 --h 24 --l 3 --s 2"
MANY = dict(preview_prompts=PROMPTS, preview_control="a bridge")


@pytest.fixture
def outputs(monkeypatch):
    """What each execution of the node gave."""
    found = []
    execute = TrainHypernet.execute.__func__

    def keep(cls, *given, **inputs):
        found.append(execute(cls, *given, **inputs))
        return found[-1]

    monkeypatch.setattr(TrainHypernet, "execute", classmethod(keep))
    return found


@pytest.fixture
def trained(host, graph):
    """trained(**changes): the run's folder. The graph must end well."""
    folder, run = host

    def do(name="style", **changes):
        result = run(graph(**SHORT | {"name": name} | changes))
        assert result.status == "success", f"{result.error} {result.node_errors}"
        do.text = "".join(result.outputs["train"]["text"])
        return folder / "output" / "hypernet" / name

    return do


def weights(path):
    return torch.cat([p.detach().flatten() for p in open_network(path).parameters()])


def names(folder):
    return sorted(path.name for path in (folder / "previews").iterdir())


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"), dtype=int)


def cells(folder, widths, heights, columns):
    """Each cell of the grid's file as pixels, by (row, column). Columns are as wide as the widest
    row, and narrower pictures stand in their middle."""
    sheet = pixels(grid_file(folder))
    wide = max(widths)
    left = sheet.shape[1] - columns * (wide + GAP)
    top = sheet.shape[0] - sum(height + GAP for height in heights)
    assert left > GAP and top > GAP, "there are words beside and above"
    assert (sheet[:top, left:] < 100).any() and (sheet[top:, :left] < 100).any()
    found, y = {}, top
    for row, (width, height) in enumerate(zip(widths, heights, strict=True)):
        assert (sheet[y : y + height, :left] < 100).any(), "each row has its words"
        for column in range(columns):
            x = left + column * (wide + GAP) + (wide - width) // 2
            found[row, column] = sheet[y : y + height, x : x + width]
        y += height + GAP
    return found


class Painted(Previewer):
    """Paints in one colour, by prompt and step, in place of a host's sampler."""

    def draw(self, network, row, step):
        if row.shown.prompt == "broken":
            raise RuntimeError("out of memory")
        level = network.record.step / 10 if network else 0
        colour = torch.tensor([len(row.shown.prompt) / 40, level, 1])
        return colour.expand(1, row.shown.height, row.shown.width, 3)


def painted(folder, **settings):
    """A grid of a run in the folder, painted."""
    asked = PreviewSettings(width=SIDE, height=SIDE, seed=1, **settings)
    rows = [
        Row(shown=shown, words=[EncodedPrompt(shown.prompt, [])], negative=[])
        for shown in asked.rows
    ]
    previewer = Painted(
        settings=asked, model=None, vae=None, encoders="to RAM", steps=[1], rows=rows
    )
    return PreviewGrid(previewer=previewer, folders=[folder], name="ink")


def draw(grid, step, said=None):
    """Draw the preview and then the grid after this step."""
    network = Hypernetwork(HypernetSpec(widths=(8,)), Record(name="ink", step=step))

    def save(path, picture, texts):
        write_picture(path, Image.fromarray(painted_pixels(picture)), texts)

    first = grid.previewer.first
    picture = grid.previewer.draw(network, first, step)
    texts = grid.previewer.texts(network, first, step, picture)
    save(grid.file(first, step, grid.folders[0]), picture, texts)
    grid.draw(network, save, (said if said is not None else []).append, anew=True)
    save_sheet(grid, network)


def save_sheet(grid, network):
    sheet = grid.sheet(network.record.step)
    write_picture(grid_file(grid.folders[0]), sheet, grid.texts(network))


def painted_pixels(picture):
    return (picture[0] * 255).round().byte().numpy()


def empty(found):
    return {place for place, cell in found.items() if (cell == NOTHING).all()}


def test_a_grid_grows_by_a_column_at_each_preview_and_shows_none_of_later_steps(tmp_path):
    grid = painted(tmp_path, prompt="a", prompts="bb\nccc", control="dddd")
    for count, step in enumerate((2, 4, 10), start=2):
        draw(grid, step)
        found = cells(tmp_path, [SIDE] * 4, [SIDE] * 4, count)
        assert not empty(found)
    for (row, column), cell in found.items():
        step = (0, 2, 4, 10)[column]
        expected = torch.tensor([(row + 1) / 40, step / 10, 1]) * 255
        assert (cell == expected.round().int().numpy()).all()
    assert grid.columns(4) == [None, 2, 4], "a run that went back makes the later ones again"


def test_with_other_prompts_the_files_stay_and_the_grid_shows_what_fits(tmp_path):
    draw(painted(tmp_path, prompt="a", prompts="bb\nccc"), 2)
    before = {path: path.read_bytes() for path in tmp_path.glob("previews/ink-*.png")}
    assert len(before) == 6
    draw(painted(tmp_path, prompt="another", prompts="bb\nfourth"), 4)
    assert {path: path.read_bytes() for path in before} == before
    assert empty(cells(tmp_path, [SIDE] * 3, [SIDE] * 3, 3)) == {(0, 1), (2, 1)}
    again = painted(tmp_path, prompt="a", prompts="bb\nccc", cfg=3.0)
    draw(again, 6)
    assert again.columns(6) == [None, 6], "a step without a picture that fits has no column"


def test_a_picture_that_fails_is_said_and_the_others_are_drawn(tmp_path):
    said = []
    grid = painted(tmp_path, prompt="a", prompts="broken\nccc")
    draw(grid, 2, said)
    assert said == ['There is no preview of "broken" after step 2: out of memory'] * 2
    assert empty(cells(tmp_path, [SIDE] * 3, [SIDE] * 3, 2)) == {(1, 0), (1, 1)}
    assert read_about(grid_file(tmp_path))["lacking"] == 2


def test_of_very_many_previews_some_have_a_column_the_newest_among_them(tmp_path):
    grid = painted(tmp_path, prompt="a", prompts="bb")
    for step in range(1, 50):
        path = grid.file(grid.previewer.rows[1], step, tmp_path)
        write_picture(path, Image.new("RGB", (8, 8)), {})
    assert grid.columns(49) == [None, *range(1, 50, 3)]


def test_rows_are_labelled_with_their_prompts_and_with_flags_where_they_share_one(tmp_path):
    asked = PreviewSettings(
        prompt="a\nfox", prompts="a dog --d 1\na dog --d 2\n" + "long " * 40, control="a car --w 8"
    )
    first, *dogs, long, control = asked.labels()
    assert (first, dogs, control) == ("a fox", ["a dog --d 1", "a dog --d 2"], "control: a car")
    assert len(long) == 80 and long.endswith("…")
    assert PreviewSettings(control="a car").labels() == ["(the caption)", "control: a car"]


def test_one_prompt_is_previewed_as_before_and_is_the_grid(trained, outputs):
    folder = trained(steps=2)
    assert names(folder) == ["style-0.png", "style-2.png"]
    *_, picture, _, grid = outputs[0].args
    assert grid is picture and picture.shape == (1, SIDE, SIDE, 3)


def test_all_prompts_are_drawn_at_all_previews_beside_the_bare_model(trained, outputs):
    folder = trained(**MANY)
    plain = trained("plain")
    rows, steps = 4, (2, 4)
    found = names(folder)
    assert {"grid.png", "style-2.png", "style-4.png"} < set(found)
    assert len(found) == 1 + rows * (1 + len(steps))
    assert weights_of(folder) == weights_of(plain), "drawing does not change what is learnt"
    for step in steps:
        name = f"-{step}.png"
        assert (pixels(folder / "previews" / f"style{name}") ==
                pixels(plain / "previews" / f"plain{name}")).all()  # fmt: skip
    grid = cells(folder, [SIDE, SIDE, 16, SIDE], [SIDE, SIDE, 24, SIDE], 3)
    for column, step in enumerate(steps, start=1):
        assert (grid[0, column] == pixels(folder / "previews" / f"style-{step}.png")).all()
    for row in range(rows):
        assert not (grid[row, 0] == grid[row, 2]).all(), "the network changes the picture"
    *_, picture, _, sheet = outputs[0].args
    assert picture.shape == (1, SIDE, SIDE, 3), "the preview is the first prompt's"
    assert (as_pixels(sheet) == pixels(grid_file(folder))).all()
    with Image.open(grid_file(folder)) as file:
        about = json.loads(file.text["hypernet"])
    assert about["columns"] == [None, 2, 4] and about["rows"][1] == "blue cat --d 7"


def weights_of(folder):
    networks = folder.parent.parent.parent / "models" / "hypernetworks"
    return weights(networks / f"{folder.name}.pt").tolist()


def as_pixels(image):
    return (image[0] * 255).round().numpy().astype(int)


def test_each_prompt_is_drawn_with_its_flags_and_the_rest_as_it_is_set(trained, monkeypatch):
    drawn = []
    generate = compat.generate

    def noted(model, vae, positive, negative, **settings):
        drawn.append(settings)
        return generate(model, vae, positive, negative, **settings)

    monkeypatch.setattr(compat, "generate", noted)
    folder = trained(steps=1, **MANY, preview_cfg=2.0, preview_seed=5)
    usual = dict(width=SIDE, height=SIDE, seed=5, steps=1, cfg=2.0)
    own = dict(width=16, height=24, seed=5, steps=2, cfg=3)
    expected = [usual, usual, *[usual | {"seed": 7}] * 2, *[own] * 2, usual, usual]
    assert drawn == expected, "the preview first, then row by row, without the network first"
    about = [read_about(path) for path in (folder / "previews").iterdir()]
    of_green = [each for each in about if each.get("prompt") == "green dog"]
    assert {(each["negative"], each["size"]) for each in of_green} == {("red", (16, 24))}
    assert sorted(each.get("step", 0) for each in of_green) == [0, 1]


def test_the_column_without_the_network_is_what_the_model_draws_alone(trained, monkeypatch):
    models = []
    generate = compat.generate

    def noted(model, *given, **settings):
        models.append((model, given, settings))
        return generate(model, *given, **settings)

    monkeypatch.setattr(compat, "generate", noted)
    folder = trained(steps=2, preview_control="a bridge")
    grid = cells(folder, [SIDE] * 2, [SIDE] * 2, 2)
    bare = models[0][0]
    assert [model is bare for model, *_ in models] == [True, False, True, False]
    for row, (_, given, settings) in enumerate(models[::2]):
        alone = generate(bare, *given, **settings)
        assert (grid[row, 0] == as_pixels(alone)).all()


def test_without_a_prompt_of_its_own_the_first_line_is_the_preview(trained):
    folder = trained(steps=2, preview_prompt="", preview_prompts="blue cat\ngreen dog")
    assert read_about(folder / "previews" / "style-2.png")["prompt"] == "blue cat"
    assert len(names(folder)) == 1 + 2 * 2


def test_beside_a_control_alone_the_caption_is_the_preview(trained):
    folder = trained(preview_prompt="", preview_control="a bridge")
    about = [read_about(folder / "previews" / f"style-{step}.png") for step in (2, 4)]
    assert all(each["prompt"] not in ("", "a bridge") for each in about)
    cells(folder, [SIDE] * 2, [SIDE] * 2, 3)


def stop_at(monkeypatch, last):
    update = compat.Progress.update

    def stopping(self, step, preview=None):
        update(self, step, preview)
        if step == last:
            request_interrupt()

    monkeypatch.setattr(compat.Progress, "update", stopping)


def test_a_resumed_run_has_the_same_network_and_the_whole_grid(host, graph, trained, monkeypatch):
    folder, run = host
    whole = trained("whole", **MANY)
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        result = run(graph(**SHORT, **MANY, name="broken"))
        assert result.status == "interrupted"
    broken = folder / "output" / "hypernet" / "broken"
    found = [broken / "previews" / "broken-0.png", *broken.glob("previews/*without*")]
    bare = {path: path.stat().st_mtime_ns for path in found}
    assert len(bare) == 4
    trained("broken", **MANY)
    assert {path: path.stat().st_mtime_ns for path in bare} == bare, "drawn once"
    assert weights_of(broken) == weights_of(whole)
    assert (pixels(grid_file(broken)) == pixels(grid_file(whole))).all()


def test_pictures_are_kept_no_longer_than_with_one_prompt(trained, monkeypatch):
    alive, most = weakref.WeakSet(), []
    generate = compat.generate

    class Held(torch.Tensor):
        """Tensors that can be told from others."""

    def noted(*given, **settings):
        gc.collect()
        most.append(len(alive))
        picture = generate(*given, **settings).as_subclass(Held)
        alive.add(Kept(picture))
        return picture

    class Kept:
        """Lives as long as the picture."""

        def __init__(self, picture):
            picture.kept = self

    monkeypatch.setattr(compat, "generate", noted)
    trained("one", steps=4, preview_every=1)
    with_one, most = max(most), []
    trained("many", steps=4, preview_every=1, preview_prompts="\n".join(map(str, range(6))))
    assert len(most) == 4 * 7 + 7
    assert max(most) <= with_one == 1, "the last preview, while the next picture is drawn"


def test_the_grid_of_a_finished_run_is_given_back_and_drawn_anew_only_where_it_lacks(
    trained, outputs, monkeypatch
):
    folder = trained(**MANY)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    drawn = []
    generate = compat.generate
    monkeypatch.setattr(compat, "generate", lambda *a, **k: drawn.append(k) or generate(*a, **k))
    trained(**MANY)
    assert not drawn and "is trained already" in trained.text
    assert torch.equal(outputs[0].args[-1], outputs[1].args[-1])
    trained(preview_prompts=f"{PROMPTS}\na fox", preview_control="a bridge")
    assert len(drawn) == 2, "the fox, without the network and with it"
    assert outputs[2].args[-1].shape[1] == outputs[0].args[-1].shape[1] + SIDE + GAP
    trained(**MANY, preview_prompt="a fox")
    assert len(drawn) == 4 and outputs[3].args[-1].shape == outputs[0].args[-1].shape
    assert {path: path.read_bytes() for path in before} == before, "nothing is saved"


def test_the_node_shows_the_grid(host, graph):
    folder, run = host
    result = run(graph(**SHORT, **MANY))
    (shown,) = result.outputs["train"]["images"]
    output = folder / "output"
    file = output / "temp" / shown["subfolder"] / shown["filename"]
    assert Image.open(file).size == Image.open(grid_file(output / "hypernet" / "style")).size


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(preview_prompts="a fox\na dog --x 5"), '"a dog --x 5": there is no --x'),
        (dict(preview_prompts="a dog --w wide"), '--w "wide" is not a whole number'),
        (dict(preview_prompts="a dog --w 500"), "--w 500 is not a multiple of 8 pixels"),
        (dict(preview_prompts="--d 5"), '"--d 5" has no prompt'),
        (dict(preview_prompts="<hypernet:ink:1> --d 5"), "has no prompt"),
        (dict(preview_control="a dog <lora:x"), '"<lora:x" looks like a tag'),
    ],
)
def test_bad_lines_are_refused_when_the_graph_is_queued(host, graph, changes, words):
    folder, run = host
    result = run(graph(**SHORT | changes))
    assert result.status == "invalid"
    (error,) = result.node_errors["train"]["errors"]
    assert words in error["details"] and error["details"].count("preview_") == 1
    assert not (folder / "output" / "hypernet").exists()


def test_tags_in_the_lines_are_taken_out_and_said(trained):
    folder = trained(steps=2, preview_prompts="a fox <lora:x:1>")
    assert "Taken out of the prompts of previews: <lora:x:1>." in trained.text
    prompts = {read_about(path).get("prompt") for path in (folder / "previews").iterdir()}
    assert prompts == {"red dog", "a fox", None}
