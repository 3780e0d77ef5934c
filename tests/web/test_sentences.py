"""Sentences of the server in a Chinese editor: web/sentences.mjs finds them in what is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from editing import REPOSITORY

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.effect import parse_widths
from hypernet.apply.prompt_tags import find_files, read_tags
from hypernet.dataset.listing import list_folder
from hypernet.dataset.reading import read_dataset
from hypernet.formats.hns import parse_tree
from hypernet.formats.networks import open_network
from hypernet.network.hypernetwork import Record
from hypernet.text.file_names import check_name
from hypernet.tools.convert import with_widths
from hypernet.tools.merge import weighted
from hypernet.training.advice import spec_warnings
from hypernet.training.auto import AutoSettings, settle
from hypernet.training.health import Health, after_probe
from hypernet.training.probe import Measure
from hypernet.training.settings import TrainSettings

CATALOGUE = json.loads((REPOSITORY / "web" / "words" / "sentences.zh.json").read_text("utf-8"))
PICTURES = REPOSITORY / "demo" / "pictures"
VALUE = re.compile(r"\{(\d)!?\}")
IN_CHINESE = """
const { translate } = await import("/extensions/hypernet/sentences.mjs");
return Promise.all(given.map(translate));
"""
MOST_MILLISECONDS = 500  # for what nobody says, on a machine that has other things to do


@pytest.fixture
def chinese(open_editor) -> Callable[[list[str]], list[str]]:
    editor = open_editor("canvas", language="zh")
    return lambda said: editor.run(IN_CHINESE, said)


def fault_of(act: Callable[[], object]) -> str:
    with pytest.raises((ValueError, OSError)) as raised:
        act()
    return str(raised.value)


def empty_folder(folder: Path) -> Path:
    (folder / "b and c.png").symlink_to(folder / "gone")
    return folder


def small(name: str, **changes) -> Hypernetwork:
    return Hypernetwork(HypernetSpec(widths=(32,), **changes), Record(name=name))


def unlearnt() -> str:
    spec = HypernetSpec(widths=(32,), activation="linear", layer_norm=True)
    found = Measure(loss=0.5, residual={32: 0.1})
    health, _ = after_probe(Health(), 0, found, spec, held_out=False)
    _, (note,) = after_probe(health, 500, found, spec, held_out=False)
    return note


def odd_pictures(folder: Path) -> Path:
    place = folder / "odd"
    place.mkdir()
    (place / "a, b and c. D; e.png").write_bytes(b"")
    (place / "f.png").write_bytes(next(PICTURES.glob("*.png")).read_bytes()[:400])
    return place


def cut_off(folder: Path) -> Path:
    (folder / "damaged.pt").write_bytes(b"PK\x03\x04 and no more")
    return folder / "damaged.pt"


# What is said, and what of it a Chinese reader is told; {} is the test's folder.
SAID = {
    "two faults": (
        lambda _: fault_of(lambda: HypernetSpec(layer_structure=(2, 1), activation="misch")),
        "层结构“2, 1”首尾必须是 1，如“1, 2, 1”：网络输出的宽度要与输入相同。"
        "激活函数“misch”未知。最接近的是：mish",
    ),
    "settings by the names of their inputs": (
        lambda _: fault_of(lambda: TrainSettings(steps=0, loss="L1", learning_rate="1e-5:x")),
        "“步数”为 0：请填 1 到 10,000,000。损失函数“L1”未知。最接近的是：",
    ),
    "a schedule": (
        lambda _: fault_of(
            lambda: TrainSettings(learning_rate="cosine_with_restarts 1e-4 cycles 2 period 9")
        ),
        "学习率计划“cosine_with_restarts 1e-4 cycles 2 period 9”：cycles 和 period 只能写一个。",
    ),
    "a folder and its files": (
        lambda folder: fault_of(lambda: list_folder(empty_folder(folder)).pictures),
        "“b and c.png”：链接指向的地方不存在。",
    ),
    "a damaged file": (
        lambda folder: fault_of(lambda: open_network(cut_off(folder))),
        "“{}/damaged.pt”无法作为超网络读取，它已损坏，或不是单纯的权重文件："
        "它没有 zip 目录：文件不完整或已损坏。",
    ),
    "two reasons in one sentence": (
        lambda _: fault_of(lambda: with_widths(small("style"), keep=[5], add=[32])),
        "超网络“style”没有要保留的宽度 5，已经有宽度 32；它的宽度是 32。",
    ),
    "networks that do not fit": (
        lambda _: fault_of(
            lambda: weighted([(small("a"), 1), (small("b", activation="relu"), 1)], "")
        ),
        "“a”：激活函数 linear；“b”：激活函数 relu。",
    ),
    "a name of two lines": (
        lambda _: fault_of(lambda: check_name("a\nb")),
        "名称“a\nb”：文件名里不能有 '\\n'。",
    ),
    "names that hold what joins sentences": (
        lambda folder: fault_of(lambda: read_dataset(odd_pictures(folder), 64, 64)),
        "2 张图片无法读取：“a, b and c. D; e.png”（文件是空的）；“f.png”（图片文件不完整）。请替换",
    ),
    "names that there are not": (
        lambda _: fault_of(lambda: find_files(read_tags("<hypernet:steps:1>")[1], ["loss.pt"])),
        "“<hypernet:steps:1>”：没有超网络“steps”。最接近的是：loss。",
    ),
    "advice behind a fault": (
        lambda _: fault_of(lambda: parse_widths("768: x")),
        "倍数“768: x”：“x”不是数字。写法如“768: 0.5, 320: 0”。",
    ),
    "braces that are no value": (
        lambda _: fault_of(lambda: parse_tree("[f(1)]")),
        "“f(1)”不是树的一部分：请用名称；[..] 表示先后相接，{..} 表示并列，",
    ),
    "a note of the training": (
        lambda _: unlearnt(),
        "第 500 步：到目前为止什么也没学到。探针的损失从开始以来只下降了 0.00%。"
        "层归一化的缩放从接近 0 开始，拖慢了网络，与 linear 同用时尤其如此：",
    ),
    "reasons of a choice": (
        lambda _: "\n".join(
            settle(AutoSettings(optimizer="Lion"), HypernetSpec(), (64, 64)).reasons
        ),
        "2,000 步，各层平均有 1128 个输入",
    ),
    "a warning": (
        lambda _: spec_warnings(HypernetSpec(activation="swish", layer_norm=True))[0],
        "使用 swish 时建议不用层归一化。",
    ),
}


def test_what_is_said_is_told_in_chinese_with_its_values(chinese, tmp_path):
    said = [say(tmp_path) for say, _ in SAID.values()]
    told = dict(zip(SAID, chinese(said), strict=True))
    wanted = {case: words.replace("{}/", f"{tmp_path}/") for case, (_, words) in SAID.items()}
    assert not {case: told[case] for case in SAID if wanted[case] not in told[case]}


def test_every_sentence_is_found_again_whatever_its_values_are(chinese):
    """Those that say too little by themselves are found within others alone."""
    filled = [VALUE.sub(lambda place: f"v{place[1]}.x", words) for words in CATALOGUE]
    wanted = [VALUE.sub(lambda place: f"v{place[1]}.x", words) for words in CATALOGUE.values()]
    found = zip(CATALOGUE, chinese(filled), wanted, strict=True)
    lost = [english for english, told, words in found if told != words]
    assert all(len(re.sub("[^a-z]", "", VALUE.sub("", english))) < 8 for english in lost), lost


@pytest.mark.parametrize(
    "said",
    [
        "",
        "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total)",
        '"a.png": cannot do it; "b.png": nor this, and 12 bytes',
        "<img src=x onerror=alert(1)> {0} $& $1",
    ],
)
def test_what_nobody_knows_stays_as_it_is(chinese, said):
    assert chinese([said]) == [said]


def test_a_known_sentence_is_told_beside_unknown_ones(chinese):
    said = (
        "What? Raise the learning rate, or leave it to auto. And <b>that</b>.\n"
        "Every picture has a mirrored copy."
    )
    told = "What? 请提高学习率，或交给 auto。And <b>that</b>.\n每张图片都有一张镜像副本。"
    assert chinese([said]) == [told]


@pytest.mark.parametrize(
    "part", ['"', "a. ", '"x": ', ", and ; ", ': "a" ', "Step 1: ", "{0} (now "]
)
def test_no_text_takes_long(open_editor, part):
    editor = open_editor("canvas", language="zh")
    measured = f"const began = performance.now(); {IN_CHINESE.replace('return', 'await')}"
    took = editor.run(f"{measured} return performance.now() - began", [(part * 3000)[:2999]])
    assert took < MOST_MILLISECONDS
