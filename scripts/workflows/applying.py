"""The examples that use networks which are there."""

from __future__ import annotations

from .drawing import Drawing, columns
from .parts import (
    BLUE,
    FOX,
    GREEN,
    VIOLET,
    bottom_of,
    checkpoint,
    comparison,
    decoded,
    picture,
    prompts,
    sampled,
    two_pictures,
)


def compare_checkpoints(d: Drawing) -> None:
    first, second, third = columns(d, 380, 320, 560)
    first.note(
        "1. Training leaves its checkpoints in **output/hypernet/my_style**. Copy those that you "
        "want to see, such as **my_style-500.pt**, into **models/hypernetworks**; press **R**.\n"
        "2. Choose one in each *Load Hypernet*, and the strengths, which are the columns. Below "
        "1 is gentler than trained, above 1 stronger.\n"
        "3. Press **Run**, and keep the one whose picture pleases you; it need not be the last.",
    )
    model = checkpoint(first)
    networks = [
        second.add("HypernetLoad", name=name)
        for name in ("my_style-500.pt", "my_style-1000.pt", "my_style.pt")
    ]
    d.group("2. Networks", networks, BLUE)
    links = [(network, 0) for network in networks]
    *words, compared = comparison(first, third, model, links, "0, 0.5, 1, 1.3")
    saved = picture(third, "", "hypernet/compared", (compared, 0), bottom_of(first, second))
    d.group("1. Model and words", [model, *words], BLUE)
    d.group("3. Side by side", [compared, saved], GREEN)


def apply(d: Drawing) -> None:
    first, second, third = columns(d, 380, 320, 360)
    first.note(
        "1. Choose the checkpoint that the network was trained on, or a relative of it.\n"
        "2. Choose the network, a file in **models/hypernetworks**; A1111's are read too.\n"
        "3. Press **Run**. *strength* 1 is as trained; 0 is off. Keys, values, widths and parts "
        "of the way are among the advanced inputs.",
    )
    model = checkpoint(first)
    network = first.add("HypernetLoad", name="my_style.pt")
    d.group("1. Model and network", [model, network], BLUE)
    applied = second.add("HypernetApply", model=(model, 0), hypernet=(network, 0))
    words = prompts(second, (model, 1), FOX)
    d.group("2. Strength and words", [applied, *(source for source, _ in words)], VIOLET)
    sampler = sampled(third, "", (applied, 0), words)
    decode = decoded(third, sampler, (model, 2))
    saved = picture(third, "", "hypernet/styled", (decode, 0), bottom_of(first, second))
    d.group("3. Picture", [sampler, decode, saved], GREEN)


def apply_with_lora_and_controlnet(d: Drawing) -> None:
    first, second, third, fourth = columns(d, 360, 310, 320, 340)
    first.note(
        "1. Choose checkpoint, LoRA, network and ControlNet, all for the same kind of model.\n"
        "2. Choose the picture that the ControlNet follows, already as it wants it (edges, a "
        "pose, depth).\n"
        "3. Press **Run**. A hypernetwork changes what attention reads, a LoRA the weights that "
        "read it, a ControlNet adds to what they give: they chain freely. What you lack, bypass "
        "with **Ctrl+B**.",
    )
    model = checkpoint(first)
    lora = first.add(
        "LoraLoader", lora_name="my_lora.safetensors", strength_model=0.8, strength_clip=0.8,
        model=(model, 0), clip=(model, 1),
    )  # fmt: skip
    d.group("1. Model and LoRA", [model, lora], BLUE)
    network = second.add("HypernetLoad", name="my_style.pt")
    applied = second.add("HypernetApply", model=(lora, 0), hypernet=(network, 0))
    words = prompts(second, (lora, 1), FOX, elsewhere=fourth)
    written = [source for source, _ in words[:2]]
    d.group("2. Network and words", [network, applied, *written], BLUE)
    guide = third.add("LoadImage", high=340, image="example.png")
    control = third.add(
        "ControlNetLoader", control_net_name="control_v11p_sd15_canny_fp16.safetensors"
    )
    guided = third.add(
        "ControlNetApplyAdvanced", strength=0.8,
        positive=words[0], negative=words[1], control_net=(control, 0), image=(guide, 0),
    )  # fmt: skip
    d.group("3. ControlNet", [guide, control, guided], VIOLET)
    sampler = sampled(fourth, "", (applied, 0), ((guided, 0), (guided, 1), words[2]))
    decode = decoded(fourth, sampler, (model, 2))
    saved = picture(fourth, "", "hypernet/chained", (decode, 0), bottom_of(second, third))
    d.group("4. Picture", [words[2][0], sampler, decode, saved], GREEN)


def fold_and_export(d: Drawing) -> None:
    first, second, third, fourth = columns(d, 360, 310, 310, 310)
    first.note(
        "1. Choose a **linear** network (activation linear, no layer norm), and the checkpoint "
        "that it was trained on.\n"
        "2. Press **Run**. *Apply* and *Fold* give the same picture; folded, the network is part "
        "of the weights and costs no time per step.\n"
        "3. *Hypernet to LoRA* writes it for every program that reads LoRAs, into "
        "**models/loras**. Rank 0 is exact and large, 32 small and near; *Convert Hypernet* "
        "makes a smaller network file.",
    )
    model = checkpoint(first)
    network = first.add("HypernetLoad", name="my_linear_style.pt")
    d.group("1. Model and network", [model, network], BLUE)
    applied = second.add("HypernetApply", model=(model, 0), hypernet=(network, 0))
    folded = second.add("HypernetFold", model=(model, 0), hypernet=(network, 0))
    d.group("2. Two ways to use it", [applied, folded], BLUE)
    second.space()
    lora = second.add(
        "HypernetToLora", model=(model, 0), hypernet=(network, 0), name="my_linear_style", rank=32
    )
    small = second.add(
        "HypernetConvert",
        hypernet=(network, 0), name="my_linear_style_small", numbers="float16", one_matrix=True,
    )  # fmt: skip
    d.group("4. Files for others", [lora, small], VIOLET)
    words = prompts(third, (model, 1), FOX)
    made = two_pictures(
        (third, fourth), ("Applied", "Folded"), ((applied, 0), (folded, 0)), (model, 2), words,
        bottom_of(first, second),
    )  # fmt: skip
    d.group("3. The same picture", [*(source for source, _ in words), *made], GREEN)
