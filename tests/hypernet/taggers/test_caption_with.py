"""WD taggers and BLIP from tiny models, how models are found, and what is remembered."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hypernet.captions.tags import Tag, TagRules, caption_of_tags
from hypernet.dataset.content_keys import content_key
from hypernet.taggers.answers import TagCache
from hypernet.taggers.blip import BlipCaptioner
from hypernet.taggers.caption_with import KINDS, cache_of, find_model, find_models, tag_pictures
from hypernet.taggers.wd_tagger import WdTagger, as_input, read_names

CPU = torch.device("cpu")

spec = importlib.util.spec_from_file_location(
    "tiny_taggers", Path(__file__).with_name("tiny_taggers.py")
)
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_a_wd_tagger_gets_pictures_in_bgr_order(tmp_path, batch):
    tagger = WdTagger(tiny.write_wd(tmp_path, batch=batch), CPU)
    colours = [(255, 51, 0), (0, 102, 255), (1, 2, 3), (9, 9, 9), (0, 0, 0)]
    found = tagger([Image.new("RGB", (20, 20), colour) for colour in colours])
    assert len(found) == 5
    for tags, (red, green, blue) in zip(found, colours, strict=True):
        assert [tag.score * 255 for tag in tags[:3]] == pytest.approx([blue, green, red], abs=1e-3)
        assert [tag.category for tag in tags] == ["rating"] * 2 + ["general"] * 2 + ["character"]
    rules = TagRules(thresholds={"general": 0.35, "character": 0.85})
    assert caption_of_tags(found[0], rules) == "1girl"


def test_a_wd_tagger_gets_the_whole_picture_on_a_white_square():
    shown = as_input(Image.new("RGB", (40, 20), "black"), 8)
    assert shown.shape == (8, 8, 3) and shown.dtype == np.float32
    assert shown[:2].min() == 255 and shown[2:6].max() == 0 and shown[6:].min() == 255
    assert as_input(Image.new("RGB", (1, 1), (1, 2, 3)), 8)[0, 0].tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "model.onnx").write_bytes(b"junk"), "cannot be opened as an ONNX network"),
        (lambda f: (f / "selected_tags.csv").unlink(), "without the names of its tags"),
        (lambda f: (f / "selected_tags.csv").write_text("a,b\n1,2"), "no table of tags"),
        (lambda f: (f / "selected_tags.csv").write_text(""), "no table of tags"),
        (lambda f: (f / "selected_tags.csv").write_text("name,category\nx,0"), "with the 1 tags"),
        (lambda f: tiny.write_wd(f, channels=4), "no WD tagger"),
    ],
)
def test_a_damaged_wd_tagger_is_named(tmp_path, spoil, words):
    file = tiny.write_wd(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=words) as fault:
        WdTagger(file, CPU)
    assert str(tmp_path) in str(fault.value)


def test_names_of_tags_are_read_with_commas_and_marks(tmp_path):
    file = tmp_path / "selected_tags.csv"
    file.write_text('\ufefftag_id,name,category,count\n1,"a,b",0,5\n2,x,3,1\n', "utf-8")
    assert read_names(file) == [("a,b", "general"), ("x", "3")]


def test_blip_gives_the_same_sentence_of_24_to_48_tokens_every_time(tmp_path):
    captioner = BlipCaptioner(tiny.write_blip(tmp_path / "tiny"), CPU)
    pictures = [Image.new("RGB", (50, 30), colour) for colour in ("red", "blue")]
    first, again = captioner(pictures), captioner(pictures[1:])
    assert again[0] == first[1], "a picture's words do not hang on its neighbours"
    ((tag,), _) = first
    assert tag.category == "sentence" and tag.score == 1
    assert 20 <= len(tag.name.split()) <= 48 and "[" not in tag.name


def test_a_folder_without_a_blip_is_named(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text('{"model_type": "blip"}')
    with pytest.raises(ValueError, match="cannot be opened as a BLIP model"):
        BlipCaptioner(tmp_path, CPU)


def touch(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_models_are_found_in_the_usual_places(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for name in ("a/model.onnx", "wd-v3.onnx", "wd-v3.csv", "b/other.onnx"):
        touch(ours / name)
    touch(theirs / "a/model.onnx")
    touch(theirs / "old.onnx")
    found = find_models("WD tagger", [ours, theirs, tmp_path / "nowhere"])
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in found.items()} == {
        "a": "ours/a/model.onnx",
        "old": "theirs/old.onnx",
        "other": "ours/b/other.onnx",
        "wd-v3": "ours/wd-v3.onnx",
    }
    touch(ours / "model-resnet_custom_v3.pt")
    assert list(find_models("DeepDanbooru", [ours])) == ["model-resnet_custom_v3.pt"]
    touch(ours / "large/config.json", '{"model_type": "blip"}')
    touch(ours / "llama/config.json", '{"model_type": "llama"}')
    touch(ours / "broken/config.json", "{")
    assert find_models("BLIP", [ours]) == {"large": ours / "large"}


@pytest.mark.parametrize(
    ("name", "differs"),
    [("cafe\u0301 v3", ""), ("caf\u00e9 v3", "accents"), ("CAFE\u0301 V3", "capital"),
     ("cafe\u0301\u00a0v3", "blanks")],
)  # fmt: skip
def test_a_model_behind_a_link_is_found_by_the_rule_for_names(tmp_path, name, differs):
    touch(tmp_path / "elsewhere/model.onnx")
    place, said = tmp_path / "wd14_tagger", []
    place.mkdir()
    (place / "cafe\u0301 v3").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert find_model("WD tagger", name, [place], said.append) == place / "cafe\u0301 v3/model.onnx"
    assert differs in said[0] if differs else not said


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_model_says_which_file_goes_where(tmp_path, kind):
    with pytest.raises(FileNotFoundError) as fault:
        find_model(kind, "my model", [tmp_path / "place"])
    told = str(fault.value)
    assert '"my model"' in told and str(tmp_path / "place") in told
    assert KINDS[kind].needs in told


class Counting:
    """A tagger that counts the pictures it gets; its score is how red a picture is."""

    def __init__(self):
        self.opened, self.batches = 0, []

    def open(self):
        self.opened += 1
        return self

    def __call__(self, pictures):
        self.batches.append(len(pictures))
        return [(Tag("red", p.getpixel((0, 0))[0] / 255), Tag("faint", 0.01)) for p in pictures]


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(5)]
    for n, path in enumerate(paths):
        Image.new("RGB", (4, 4), (n * 50, 0, 0)).save(path)
    return paths


def said(tagger, pictures, cache, batch=2):
    return dict(tag_pictures(pictures, tagger.open, cache, batch))


def test_a_picture_is_tagged_once_whatever_its_name(tmp_path, pictures):
    tagger, file = Counting(), tmp_path / "cache" / "t.tsv"
    first = said(tagger, pictures, TagCache(file))
    assert tagger.batches == [2, 2, 1] and first[pictures[2]][0] == Tag("red", 100 / 255)
    renamed = pictures[2].rename(tmp_path / "other.png")
    Image.new("RGB", (4, 4), (255, 0, 0)).save(pictures[3])
    again = said(tagger, [*pictures[:2], renamed, *pictures[3:]], TagCache(file))
    assert tagger.batches[3:] == [1], "only the changed one"
    assert again[renamed] == first[pictures[2]][:1] and again[pictures[3]][0].score == 1
    said(tagger, pictures[:2], TagCache(file))
    assert tagger.opened == 2, "nothing new, nothing opened"


def test_stopping_half_way_keeps_the_answers_so_far(tmp_path, pictures):
    tagger, file = Counting(), tmp_path / "t.tsv"
    stream = tag_pictures(pictures, tagger.open, TagCache(file), 2)
    next(stream)
    stream.close()
    said(tagger, pictures, TagCache(file))
    assert tagger.batches == [2, 2, 1]


SPOILT = {
    "cut off": lambda written: written[:-20],
    "junk before": lambda written: b"\xff\0junk\n" + written,
    "junk for tags": lambda written: written.replace(b'"red"', b"[1]"),
    "a number for tags": lambda written: written.split(b"\t")[0] + b"\t5\n",
    "a dict for tags": lambda written: written.split(b"\t")[0] + b'\t[{"a": 1}]\n',
    "empty": lambda written: b"",
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_damaged_cache_costs_only_time(tmp_path, pictures, spoil):
    tagger, file = Counting(), tmp_path / "t.tsv"
    first = said(tagger, pictures, TagCache(file))
    file.write_bytes(spoil(file.read_bytes()))
    again = said(tagger, pictures, TagCache(file))
    assert any(tag.score > 0.05 for tags in first.values() for tag in tags)
    for path, tags in first.items():
        assert [t for t in again[path] if t.score > 0.05] == [t for t in tags if t.score > 0.05]
    before = len(tagger.batches)
    said(tagger, pictures, TagCache(file))
    assert len(tagger.batches) == before, "mended by being used"


def test_a_picture_that_cannot_be_read_comes_with_the_reason(tmp_path, pictures):
    pictures[1].write_bytes(b"no picture")
    pictures[3].unlink()
    found = said(Counting(), pictures, TagCache(tmp_path / "t.tsv"))
    assert len(found) == 5
    assert "1.png" in str(found[pictures[1]]) and "no picture" in str(found[pictures[1]])
    assert isinstance(found[pictures[3]], ValueError)


def test_each_model_has_its_own_answers(tmp_path):
    touch(tmp_path / "a.onnx", "1")
    touch(tmp_path / "b.onnx", "12")
    files = {cache_of("WD tagger", tmp_path / name, tmp_path).file for name in ("a.onnx", "b.onnx")}
    assert len(files) == 2 and all(file.name.startswith("wd_tagger-") for file in files)


def test_the_key_depends_on_the_content(tmp_path, pictures):
    keys = [content_key(path) for path in pictures]
    assert len(set(keys)) == 5 and content_key(pictures[0]) == keys[0]
    line = f"{keys[0]}\t{json.dumps([['a', 0.5, 'general']])}\n"
    (tmp_path / "c.tsv").write_text(line)
    assert TagCache(tmp_path / "c.tsv").get(keys[0]) == (Tag("a", 0.5),)
