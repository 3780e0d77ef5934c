"""Writes the example workflows in the editor's format, from a few lines of code each.

    python -m scripts.workflows

Widget values and slots come from the nodes' schemas, so when a node gains an input, the examples
are written again instead of edited. Nodes must not overlap; a group surrounds the nodes it names.
`python -m scripts.thumbnails` makes the pictures beside them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

from hypernet_pack import comfy_entrypoint
from hypernet_pack.compat.standalone.graph.object_info import describe
from hypernet_pack.compat.standalone.graph.socket_types import DYNAMIC_COMBO
from hypernet_pack.compat.standalone.nodes.core import CORE_NODES

HERE = Path(__file__).parent.parent / "example_workflows"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
TITLE, SLOT, ROW, TEXT_BOX, FOOT = 30, 20, 24, 64, 80  # pixels of a node's parts
SPARE = 8  # pixels by which a row is higher in Nodes 2.0
PANELS = {  # the heights of our panels on the nodes, in pixels
    "HypernetLoadDataset": 240, "HypernetCaption": 240, "HypernetConfig": 170, "HypernetApply": 80,
    "HypernetTrain": 560, "HypernetLearningRate": 190, "HypernetLoad": 150, "HypernetInspect": 150,
}  # fmt: skip
MARGIN, HEADING = 20, 44  # pixels between a group's nodes and its edge, and above them
BELOW = 60  # and below them: older editors' Nodes 2.0 are higher still
BLUE, VIOLET, GREEN = "#3f789e", "#88A", "#8A8"
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"

Box = tuple[int, int, int, int]  # left, top, width, height
Link = tuple[int, int]  # node, its output slot
Parts = tuple[Link, Link, Link]  # MODEL, CLIP, VAE

# ComfyUI's nodes that the stand-in lacks, as ComfyUI's /object_info describes them. A live test
# compares them.
FACTOR = {"default": 1.0}
OTHERS = {
    "LoraLoader": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "clip": ["CLIP"],
                "lora_name": ["COMBO"],
                "strength_model": ["FLOAT", FACTOR],
                "strength_clip": ["FLOAT", FACTOR],
            }
        },
        "output": ["MODEL", "CLIP"],
        "output_name": ["MODEL", "CLIP"],
    },
    "ControlNetLoader": {
        "input": {"required": {"control_net_name": ["COMBO"]}},
        "output": ["CONTROL_NET"],
        "output_name": ["CONTROL_NET"],
    },
    "ControlNetApplyAdvanced": {
        "input": {
            "required": {
                "positive": ["CONDITIONING"],
                "negative": ["CONDITIONING"],
                "control_net": ["CONTROL_NET"],
                "image": ["IMAGE"],
                "strength": ["FLOAT", FACTOR],
                "start_percent": ["FLOAT", {"default": 0.0}],
                "end_percent": ["FLOAT", {"default": 1.0}],
            },
            "optional": {"vae": ["VAE"]},
        },
        "output": ["CONDITIONING", "CONDITIONING"],
        "output_name": ["positive", "negative"],
    },
}


def fields(inputs: dict[str, dict]) -> Iterable[tuple[str, str, dict]]:
    """(name, type, options) of a description's inputs, in the editor's order."""
    for group in ("required", "optional"):
        for name, (io_type, *options) in inputs.get(group, {}).items():
            yield name, io_type, options[0] if options else {}


class Drawing:
    """A workflow that is being laid out. add() returns a number; an output is (number, slot)."""

    def __init__(self, descriptions: dict[str, dict]):
        self.descriptions = descriptions
        self.nodes: list[dict] = []
        self.heights: list[int] = []  # including what Nodes 2.0 adds to rows and at the bottom
        self.links: list[list] = []
        self.groups: list[dict] = []

    def add(
        self, kind: str, at: tuple[int, int], title: str = "", size: tuple = (320, 0), **given: Any
    ) -> int:
        """Add a node. given: values of widgets, and links (node, slot) of inputs.

        An input that a choice adds is named like "tagger.order".
        """
        described = self.descriptions[kind]
        number = len(self.nodes) + 1
        sockets, linked, widgets = [], [], []
        height = rows = 0
        for name, io_type, options in self.live(described["input"], given):
            value = given.pop(name, None)
            is_link = isinstance(value, tuple)
            if io_type not in (*WIDGETS, DYNAMIC_COMBO) or options.get("forceInput"):
                sockets.append({"name": name, "type": io_type, "link": None, "from": value})
                continue
            widgets.append(first_value(options) if value is None or is_link else value)
            if options.get("control_after_generate"):
                widgets.append("fixed")
                height += ROW
            if options.get("image_upload"):
                widgets.append("image")  # the button
                height += ROW
            if not options.get("advanced"):  # the others are hidden behind "Show Advanced"
                height += TEXT_BOX if options.get("multiline") else ROW
                rows += 1
            if is_link:
                widget = {"name": name, "type": io_type, "widget": {"name": name}, "link": None}
                linked.append(widget | {"from": value})
        if given:
            raise ValueError(f"{kind} has no inputs {list(given)}")
        outputs = [
            {"name": name, "type": io_type, "links": []}
            for name, io_type in zip(described["output_name"], described["output"], strict=True)
        ]
        inputs = [*sockets, *linked]
        for place, each in enumerate(inputs):
            if source := each.pop("from"):
                each["link"] = self.link(*source, number, place, each["type"])
        height += SLOT * max(len(sockets), len(outputs)) + 20 + PANELS.get(kind, 0)
        node = {
            "id": number,
            "type": kind,
            "pos": list(at),
            "size": [size[0], max(size[1], height)],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": kind},
        }
        node |= {"widgets_values": widgets} if widgets else {}
        self.nodes.append(node | ({"title": title} if title else {}))
        self.heights.append(max(size[1], height + rows * SPARE + FOOT))
        return number

    def live(
        self, inputs: dict[str, dict], given: dict, before: str = ""
    ) -> Iterable[tuple[str, str, dict]]:
        """The inputs; after each choice come the inputs that it adds."""
        for name, io_type, options in fields(inputs):
            chosen = given.get(name, first_value(options))  # add() removes it from given
            yield f"{before}{name}", io_type, options
            if io_type == DYNAMIC_COMBO:
                (brought,) = (each for each in options["options"] if each["key"] == chosen)
                yield from self.live(brought["inputs"], given, f"{before}{name}.")

    def note(self, at: tuple[int, int], size: tuple[int, int], text: str) -> int:
        number = len(self.nodes) + 1
        self.nodes.append(
            {
                "id": number,
                "type": "MarkdownNote",
                "pos": list(at),
                "size": list(size),
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": [],
                "outputs": [],
                "title": "Three things to do",
                "properties": {},
                "widgets_values": [text],
                "color": "#432",
                "bgcolor": "#653",
            }
        )
        self.heights.append(size[1])
        return number

    def link(self, source: int, slot: int, target: int, place: int, io_type: str) -> int:
        number = len(self.links) + 1
        self.links.append([number, source, slot, target, place, io_type])
        self.nodes[source - 1]["outputs"][slot]["links"].append(number)
        return number

    def box(self, number: int) -> Box:
        """The area of the node, including its title, with advanced inputs hidden."""
        node = self.nodes[number - 1]
        left, top = node["pos"]
        return left, top - TITLE, node["size"][0], self.heights[number - 1] + TITLE

    def below(self, number: int, gap: int = 60) -> int:
        """The y of `at` for a node below this one."""
        _, top, _, height = self.box(number)
        return top + height + gap + TITLE

    def right_of(self, number: int, gap: int = 60) -> int:
        left, _, width, _ = self.box(number)
        return left + width + gap

    def group(self, title: str, numbers: Iterable[int], color: str) -> None:
        boxes = [self.box(number) for number in numbers]
        left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
        right = max(box[0] + box[2] for box in boxes)
        bottom = max(box[1] + box[3] for box in boxes)
        bounding = [
            left - MARGIN,
            top - HEADING,
            right - left + 2 * MARGIN,
            bottom - top + HEADING + BELOW,
        ]
        self.groups.append({"title": title, "bounding": bounding, "color": color})

    def save(self, name: str) -> None:
        things = [(f"node {node['id']}", self.box(node["id"])) for node in self.nodes]
        groups = [(each["title"], tuple(each["bounding"])) for each in self.groups]
        for kind in (things, groups):
            for (one, a), (other, b) in combinations(kind, 2):
                if overlap(a, b):
                    raise ValueError(f"{name}: {one} and {other} overlap")
        content = {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {},
            "version": 0.4,
        }
        path = HERE / f"{name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def first_value(options: dict) -> Any:
    """The value of a widget in a new node."""
    choices = options.get("options") or [""]
    first = choices[0]["key"] if isinstance(choices[0], dict) else choices[0]
    return options.get("default", first)


def overlap(a: Box, b: Box) -> bool:
    return all(a[i] < b[i] + b[i + 2] and b[i] < a[i] + a[i + 2] for i in (0, 1))


# Parts that several examples share


def checkpoint(d: Drawing, at: tuple[int, int]) -> int:
    return d.add("CheckpointLoaderSimple", at, ckpt_name=CHECKPOINT)


def whole(loader: int) -> Parts:
    """The outputs of a loader that gives all three."""
    return (loader, 0), (loader, 1), (loader, 2)


def prompts(
    d: Drawing, at: tuple[int, int], clip: Link, text: str, pixels: int = 512, count: int = 1,
    empty: str = "EmptyLatentImage",
) -> tuple[Link, Link, Link]:  # fmt: skip
    """Add prompt, negative prompt and empty latent, one below the other."""
    x, y = at
    positive = d.add("CLIPTextEncode", at, title="Prompt", text=text, clip=clip)
    y = d.below(positive)
    negative = d.add("CLIPTextEncode", (x, y), title="Negative prompt", text="", clip=clip)
    latent = d.add(empty, (x, d.below(negative)), width=pixels, height=pixels, batch_size=count)
    return (positive, 0), (negative, 0), (latent, 0)


def picture(
    d: Drawing, at: tuple[int, int], title: str, prefix: str, model: Link, vae: Link,
    words: tuple[Link, Link, Link], **sampling: Any,
) -> list[int]:  # fmt: skip
    """Add KSampler, VAE Decode and Save Image. Returns their numbers."""
    x, y = at
    positive, negative, latent = words
    sampler = d.add(
        "KSampler", (x, y), title=title, size=(300, 0), model=model, positive=positive,
        negative=negative, latent_image=latent, **({"seed": 1} | sampling),
    )  # fmt: skip
    beside = d.right_of(sampler, 40)
    decode = d.add("VAEDecode", (beside, y), size=(340, 0), samples=(sampler, 0), vae=vae)
    saved = d.add(
        "SaveImage", (beside, d.below(decode)), title=f"{title}: pictures" if title else "",
        images=(decode, 0), filename_prefix=prefix, size=(340, 320),
    )  # fmt: skip
    return [sampler, decode, saved]


def before_and_after(
    d: Drawing, x: int, parts: Parts, trained: Link, text: str, **settings: Any
) -> None:
    """Add two pictures of one prompt, without and with the network."""
    model, clip, vae = parts
    size = {key: settings.pop(key) for key in ("pixels", "count", "empty") if key in settings}
    words = prompts(d, (x, 0), clip, text, **size)
    y = d.below(words[2][0])
    applied = d.add("HypernetApply", (x, y), model=model, hypernet=trained)
    beside = d.right_of(applied)
    before = picture(d, (beside, 0), "Before", "hypernet/before", model, vae, words, **settings)
    after = picture(
        d, (beside, d.below(before[-1], 60)), "After", "hypernet/after", (applied, 0), vae, words,
        **settings,
    )  # fmt: skip
    numbers = [*(source for source, _ in words), applied, *before, *after]
    d.group("3. What it learnt", numbers, GREEN)


# The examples


def first_network_demo(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 330),
        "1. Press **Run**. The model and the 64 pictures of faces and hearts came with Hypernet: "
        "nothing is downloaded.\n"
        "2. Watch *Train Hypernet*: every 100 updates it draws what it has learnt. Then compare "
        "*Before* and *After*.\n"
        "3. Change the *Prompt* to something simple, such as **sleeping face**, **purple heart** "
        "or **pizza**, and press **Run** again: only the pictures are made anew.\n\n"
        "To train again, give another *name*. For your own pictures and a real model, open the "
        "template **train_style**.",
    )  # fmt: skip
    model = d.add("HypernetLoadDemoModel", (0, 0))
    data = d.add(
        "HypernetLoadDataset", (0, d.below(model)),
        folder="pictures [demo]", width=128, height=128,
    )  # fmt: skip
    words = d.add("HypernetCaption", (0, d.below(data)), dataset=(data, 0))
    d.group("1. What to learn", [model, data, words], BLUE)
    config = d.add("HypernetConfig", (400, 0), model=(model, 0))
    trainer = d.add(
        "HypernetTrain", (400, d.below(config, 60)), size=(360, 0),
        model=(model, 0), clip=(model, 1), vae=(model, 2), dataset=(words, 0), config=(config, 0),
        name="my_first_network", preset="quick look", preview_prompt="grinning face",
        preview_cfg=4.0, preview_every=50,
    )  # fmt: skip
    d.group("2. How", [config, trainer], VIOLET)
    before_and_after(
        d, 840, whole(model), (trainer, 0), "grinning face", pixels=128, count=4, steps=16, cfg=4.0
    )


def train_style(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 330),
        "1. Put 20 to 100 pictures of the style into **input/my_pictures**. A **name.txt** beside "
        "a picture says what it shows; without one its file name does.\n"
        "2. Choose your SD 1.5 checkpoint, and a *name* for the network.\n"
        "3. Press **Run**. The file lands in **models/hypernetworks**. Interrupt whenever the "
        "previews please you: what was trained is kept, and the next Run goes on from there.\n\n"
        "It learns style better from many different pictures than from long training on few.",
    )  # fmt: skip
    model = checkpoint(d, (0, 0))
    data = d.add("HypernetLoadDataset", (0, d.below(model)), folder="my_pictures")
    words = d.add("HypernetCaption", (0, d.below(data)), dataset=(data, 0))
    d.group("1. What to learn", [model, data, words], BLUE)
    config = d.add("HypernetConfig", (400, 0), model=(model, 0))
    trainer = d.add(
        "HypernetTrain", (400, d.below(config, 60)), size=(360, 0),
        model=(model, 0), clip=(model, 1), vae=(model, 2), dataset=(words, 0), config=(config, 0),
        preview_every=250,
    )  # fmt: skip
    d.group("2. How", [config, trainer], VIOLET)
    before_and_after(d, 840, whole(model), (trainer, 0), "a red fox in the snow")


def train_on_anima(d: Drawing) -> None:
    train_on_transformer(
        d,
        "Anima. **anima-base-v1.0** belongs into models/diffusion_models, **qwen_3_06b_base** into "
        "models/text_encoders and **qwen_image_vae** into models/vae",
        "anima-base-v1.0.safetensors", ("qwen_3_06b_base.safetensors",), "stable_diffusion",
        "qwen_image_vae.safetensors", "a red fox in the snow, anime",
        steps=30, cfg=4.0, sampler_name="euler", scheduler="simple",
    )  # fmt: skip


def train_on_z_image(d: Drawing) -> None:
    train_on_transformer(
        d,
        "Z-Image: the base, as training breaks the Turbo's short cut. **z_image_bf16** belongs "
        "into models/diffusion_models, **qwen_3_4b** into models/text_encoders and **ae** into "
        "models/vae",
        "z_image_bf16.safetensors", ("qwen_3_4b.safetensors",), "lumina2",
        "ae.safetensors", "a red fox in the snow",
        steps=25, cfg=4.0, sampler_name="res_multistep", scheduler="simple",
    )  # fmt: skip


def train_on_flux(d: Drawing) -> None:
    train_on_transformer(
        d,
        "Flux.1 dev. **flux1-dev** belongs into models/diffusion_models, **clip_l** and "
        "**t5xxl_fp16** into models/text_encoders and **ae** into models/vae",
        "flux1-dev.safetensors", ("clip_l.safetensors", "t5xxl_fp16.safetensors"), "flux",
        "ae.safetensors", "a red fox in the snow",
        steps=20, cfg=1.0, sampler_name="euler", scheduler="simple",
    )  # fmt: skip


def train_on_transformer(
    d: Drawing, files: str, unet: str, texts: tuple[str, ...], kind: str, vae: str, prompt: str,
    **sampling: Any,
) -> None:  # fmt: skip
    """A style on a model whose parts are files of their own, by the names in ComfyUI's templates.

    files: which they are and where they belong, for the note.
    """
    d.note(
        (-440, 0), (380, 400),
        f"1. Choose the files of {files}.\n"
        "2. Put 20 to 100 pictures of the style into **input/my_pictures**, and give the network "
        "a *name*. A **name.txt** beside a picture says what it shows.\n"
        "3. Press **Run**. The file lands in **models/hypernetworks** and acts on this model "
        "alone.\n\n"
        "Where memory is short, choose smaller pictures in *Load Dataset*, or offload in *Train "
        "Hypernet*.",
    )  # fmt: skip
    model = d.add("UNETLoader", (0, 0), unet_name=unet)
    if len(texts) == 2:
        names: dict[str, Any] = dict(zip(("clip_name1", "clip_name2"), texts, strict=True))
        clip = d.add("DualCLIPLoader", (0, d.below(model)), type=kind, **names)
    else:
        clip = d.add("CLIPLoader", (0, d.below(model)), clip_name=texts[0], type=kind)
    decoder = d.add("VAELoader", (0, d.below(clip)), vae_name=vae)
    data = d.add(
        "HypernetLoadDataset", (0, d.below(decoder)), folder="my_pictures", width=1024, height=1024
    )
    words = d.add("HypernetCaption", (0, d.below(data)), dataset=(data, 0))
    d.group("1. What to learn", [model, clip, decoder, data, words], BLUE)
    config = d.add("HypernetConfig", (400, 0), model=(model, 0))
    trainer = d.add(
        "HypernetTrain", (400, d.below(config, 60)), size=(360, 0),
        model=(model, 0), clip=(clip, 0), vae=(decoder, 0), dataset=(words, 0), config=(config, 0),
        preview_every=250, preview_cfg=sampling["cfg"],
    )  # fmt: skip
    d.group("2. How", [config, trainer], VIOLET)
    before_and_after(
        d, 840, ((model, 0), (clip, 0), (decoder, 0)), (trainer, 0), prompt,
        pixels=1024, empty="EmptySD3LatentImage", **sampling,
    )  # fmt: skip


def train_subject_with_tagger(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 360),
        "1. Put 10 to 30 pictures of one subject into **input/my_subject**, and a tagger's folder "
        "(its **model.onnx** and **selected_tags.csv**) into **models/wd14_tagger**; press **R** "
        "and choose it in *Caption*. A **name.txt** beside a picture counts before the tagger.\n"
        "2. Choose the *trigger word* that shall call the subject, and block the tags that "
        "describe it always (its hair, say): what is not said is learnt.\n"
        "3. Press **Run**. *Learning Rate* shows what *Train Hypernet* chooses, and why.",
    )  # fmt: skip
    model = checkpoint(d, (0, 0))
    data = d.add("HypernetLoadDataset", (0, d.below(model)), folder="my_subject")
    cut = d.add(
        "HypernetPrepare", (0, d.below(data)),
        dataset=(data, 0), crop="focal point", flip_copies=True,
    )  # fmt: skip
    d.group("1. Pictures", [model, data, cut], BLUE)
    tags = d.add(
        "HypernetCaption", (400, 0), size=(340, 0),
        dataset=(cut, 0), source="sidecar, then tagger", tagger="WD tagger",
        trigger_word="my_subject",
    )  # fmt: skip
    words = d.add(
        "HypernetWords", (400, d.below(tags)), size=(340, 0),
        dataset=(tags, 0), shuffle=True, keep_first=1, tag_dropout=0.1, caption_dropout=0.05,
    )  # fmt: skip
    d.group("2. Words", [tags, words], BLUE)
    config = d.add("HypernetConfig", (820, 0), size=(360, 0), model=(model, 0))
    rate = d.add(
        "HypernetLearningRate", (820, d.below(config)), size=(360, 0),
        config=(config, 0), dataset=(words, 0),
    )  # fmt: skip
    trainer = d.add(
        "HypernetTrain", (820, d.below(rate)), size=(360, 0),
        model=(model, 0), clip=(model, 1), vae=(model, 2), dataset=(words, 0), config=(config, 0),
        name="my_subject", preview_every=250,
    )  # fmt: skip
    d.group("3. How", [config, rate, trainer], VIOLET)
    grid = d.add(
        "SaveImage", (1260, 0), title="Last preview", size=(360, 380),
        images=(trainer, 2), filename_prefix="hypernet/my_subject",
    )  # fmt: skip
    curve = d.add(
        "PreviewImage", (1260, d.below(grid)), title="Learning rate", size=(360, 320),
        images=(rate, 3),
    )  # fmt: skip
    d.group("4. What it learnt", [grid, curve], GREEN)


def resume(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 330),
        "1. *continue_from*, among the advanced inputs of *Train Hypernet*, names the network to "
        "go on with. A **.optim** file of its name beside it brings the optimizer's state.\n"
        "2. Give more *steps* than it has had (they count on from there), and another *name*: the "
        "earlier file is kept.\n"
        "3. Press **Run**, and compare both networks with the model alone.\n\n"
        "A run that was interrupted needs none of this: queue it again, and it goes on.",
    )  # fmt: skip
    model = checkpoint(d, (0, 0))
    data = d.add("HypernetLoadDataset", (0, d.below(model)), folder="my_pictures")
    words = d.add("HypernetCaption", (0, d.below(data)), dataset=(data, 0))
    d.group("1. The same pictures", [model, data, words], BLUE)
    config = d.add("HypernetConfig", (400, 0), model=(model, 0))
    trainer = d.add(
        "HypernetTrain", (400, d.below(config, 60)), size=(360, 0),
        model=(model, 0), clip=(model, 1), vae=(model, 2), dataset=(words, 0), config=(config, 0),
        name="my_style_longer", continue_from="my_style.pt", steps=4000, preview_every=250,
    )  # fmt: skip
    d.group("2. Further", [config, trainer], VIOLET)
    earlier = d.add("HypernetLoad", (840, 0), title="The earlier network", name="my_style.pt")
    comparison(d, 840, d.below(earlier), model, [(earlier, 0), (trainer, 0)], "0, 1", [earlier])


def comparison(
    d: Drawing, x: int, y: int, model: int, networks: list[Link], strengths: str, others: list[int]
) -> None:
    """Add Compare Hypernets with its prompts and its grid, in a group with `others`."""
    positive = d.add(
        "CLIPTextEncode", (x, y), title="Prompt", text="a red fox in the snow", clip=(model, 1)
    )
    negative = d.add(
        "CLIPTextEncode", (x, d.below(positive)), title="Negative prompt", text="", clip=(model, 1)
    )
    sockets = {f"hypernet_{place}": link for place, link in enumerate(networks, 1)}
    compared = d.add(
        "HypernetCompare", (x + 380, 0),
        model=(model, 0), vae=(model, 2), positive=(positive, 0), negative=(negative, 0),
        strengths=strengths, seed=1, **sockets,
    )  # fmt: skip
    saved = d.add(
        "SaveImage", (x + 760, 0), size=(560, 560),
        images=(compared, 0), filename_prefix="hypernet/compared",
    )  # fmt: skip
    d.group("3. Side by side", [*others, positive, negative, compared, saved], GREEN)


def compare_checkpoints(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 300),
        "1. Training leaves its checkpoints in **output/hypernet/my_style**. Copy those that you "
        "want to see, such as **my_style-500.pt**, into **models/hypernetworks**; press **R**.\n"
        "2. Choose one in each *Load Hypernet*, and the strengths, which are the columns. Below "
        "1 is gentler than trained, above 1 stronger.\n"
        "3. Press **Run**, and keep the one whose picture pleases you; it need not be the last.",
    )  # fmt: skip
    model = checkpoint(d, (0, 0))
    loaders, y = [], d.below(model)
    for name in ("my_style-500.pt", "my_style-1000.pt", "my_style.pt"):
        loaders.append(d.add("HypernetLoad", (0, y), name=name))
        y = d.below(loaders[-1])
    d.group("1. Networks", [model, *loaders], BLUE)
    links = [(loader, 0) for loader in loaders]
    comparison(d, 400, 0, model, links, "0, 0.5, 1, 1.3", [])
    d.groups[-1]["title"] = "2. Side by side"


def apply(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 270),
        "1. Choose the checkpoint that the network was trained on, or a relative of it.\n"
        "2. Choose the network, a file in **models/hypernetworks**; A1111's are read too.\n"
        "3. Press **Run**. *strength* 1 is as trained; 0 is off. Keys, values, widths and parts "
        "of the way are among the advanced inputs.",
    )  # fmt: skip
    model = checkpoint(d, (0, 0))
    network = d.add("HypernetLoad", (0, d.below(model)), name="my_style.pt")
    applied = d.add("HypernetApply", (0, d.below(network)), model=(model, 0), hypernet=(network, 0))
    d.group("1. Model and network", [model, network, applied], BLUE)
    words = prompts(d, (400, 0), (model, 1), "a red fox in the snow")
    made = picture(d, (780, 0), "", "hypernet/styled", (applied, 0), (model, 2), words)
    d.group("2. Picture", [*(source for source, _ in words), *made], GREEN)


def apply_with_lora_and_controlnet(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 300),
        "1. Choose checkpoint, LoRA, network and ControlNet, all for the same kind of model.\n"
        "2. Choose the picture that the ControlNet follows, already as it wants it (edges, a "
        "pose, depth).\n"
        "3. Press **Run**. A hypernetwork changes what attention reads, a LoRA the weights that "
        "read it, a ControlNet adds to what they give: they chain freely. What you lack, bypass "
        "with **Ctrl+B**.",
    )  # fmt: skip
    model = checkpoint(d, (0, 0))
    lora = d.add(
        "LoraLoader", (0, d.below(model)), lora_name="my_lora.safetensors", strength_model=0.8,
        strength_clip=0.8, model=(model, 0), clip=(model, 1),
    )  # fmt: skip
    network = d.add("HypernetLoad", (0, d.below(lora)), name="my_style.pt")
    applied = d.add("HypernetApply", (0, d.below(network)), model=(lora, 0), hypernet=(network, 0))
    d.group("1. Model, LoRA, network", [model, lora, network, applied], BLUE)
    words = prompts(d, (400, 0), (lora, 1), "a red fox in the snow")
    d.group("2. Prompts", [source for source, _ in words], BLUE)
    guide = d.add("LoadImage", (800, 0), size=(340, 340), image="example.png")
    control = d.add(
        "ControlNetLoader", (800, d.below(guide)), size=(340, 0),
        control_net_name="control_v11p_sd15_canny_fp16.safetensors",
    )  # fmt: skip
    guided = d.add(
        "ControlNetApplyAdvanced", (800, d.below(control)), size=(340, 0), strength=0.8,
        positive=words[0], negative=words[1], control_net=(control, 0), image=(guide, 0),
    )  # fmt: skip
    d.group("3. ControlNet", [guide, control, guided], VIOLET)
    made = picture(
        d, (1220, 0), "", "hypernet/chained", (applied, 0), (model, 2),
        ((guided, 0), (guided, 1), words[2]),
    )  # fmt: skip
    d.group("4. Picture", made, GREEN)


def fold_and_export(d: Drawing) -> None:
    d.note(
        (-440, 0), (380, 330),
        "1. Choose a **linear** network (activation linear, no layer norm), and the checkpoint "
        "that it was trained on.\n"
        "2. Press **Run**. *Apply* and *Fold* give the same picture; folded, the network is part "
        "of the weights and costs no time per step.\n"
        "3. *Hypernet to LoRA* writes it for every program that reads LoRAs, into "
        "**models/loras**. Rank 0 is exact and large, 32 small and near; *Convert Hypernet* "
        "makes a smaller network file.",
    )  # fmt: skip
    model = checkpoint(d, (0, 0))
    network = d.add("HypernetLoad", (0, d.below(model)), name="my_linear_style.pt")
    applied = d.add("HypernetApply", (0, d.below(network)), model=(model, 0), hypernet=(network, 0))
    folded = d.add("HypernetFold", (0, d.below(applied)), model=(model, 0), hypernet=(network, 0))
    d.group("1. Two ways to use it", [model, network, applied, folded], BLUE)
    words = prompts(d, (400, 0), (model, 1), "a red fox in the snow")
    lora = d.add(
        "HypernetToLora", (400, d.below(words[2][0], 60)),
        model=(model, 0), hypernet=(network, 0), name="my_linear_style", rank=32,
    )  # fmt: skip
    small = d.add(
        "HypernetConvert", (400, d.below(lora)),
        hypernet=(network, 0), name="my_linear_style_small", numbers="float16", one_matrix=True,
    )  # fmt: skip
    d.group("3. Files for others", [lora, small], VIOLET)
    by_apply = picture(d, (800, 0), "Applied", "hypernet/applied", (applied, 0), (model, 2), words)
    by_fold = picture(
        d, (800, d.below(by_apply[-1], 60)), "Folded", "hypernet/folded", (folded, 0), (model, 2),
        words,
    )  # fmt: skip
    d.group("2. The same picture", [*by_apply, *by_fold], GREEN)


EXAMPLES = (
    first_network_demo,
    train_style,
    train_subject_with_tagger,
    train_on_anima,
    train_on_z_image,
    train_on_flux,
    resume,
    compare_checkpoints,
    apply,
    apply_with_lora_and_controlnet,
    fold_and_export,
)


def main() -> None:
    pack = asyncio.run(comfy_entrypoint())
    nodes = [*CORE_NODES, *asyncio.run(pack.get_node_list())]
    descriptions = {description["name"]: description for description in map(describe, nodes)}
    HERE.mkdir(exist_ok=True)
    for draw in EXAMPLES:
        drawing = Drawing(descriptions | OTHERS)
        draw(drawing)
        drawing.save(draw.__name__)


if __name__ == "__main__":
    main()
