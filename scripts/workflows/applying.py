"""The examples that use networks which are there."""

from __future__ import annotations

from .drawing import Drawing
from .parts import BLUE, GREEN, VIOLET, checkpoint, comparison, picture, prompts


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
