"""The examples that train: note and model, pictures, training, what it learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .drawing import Column, Drawing, columns
from .parts import (
    BLUE,
    FOX,
    GREEN,
    VIOLET,
    Parts,
    bottom_of,
    checkpoint,
    comparison,
    picture,
    prompts,
    two_pictures,
    whole,
)

WIDTHS = (360, 300, 370, 290, 290)  # of the columns, in pixels
NO_CHECKPOINT = (
    "No checkpoint yet? Click *Load Checkpoint* and its button **Use the demo model**, or find it "
    "in the menu under **Hypernet**."
)

# Adds loaders. Returns their numbers, and what they give.
Load = Callable[[Column], tuple[list[int], Parts]]


def from_checkpoint(column: Column) -> tuple[list[int], Parts]:
    loader = checkpoint(column)
    return [loader], whole(loader)


def demo_model(column: Column) -> tuple[list[int], Parts]:
    loader = column.add("HypernetLoadDemoModel")
    return [loader], whole(loader)


def trained(
    filled: list[Column], load: Load, pictures: dict[str, Any], **settings: Any
) -> tuple[Parts, int]:
    """Add all that a training needs below the note and in the next two columns.

    Returns what the loaders give, and Train Hypernet's number.
    """
    first, second, third = filled[:3]
    d = first.drawing
    loaders, parts = load(first)
    model, clip, vae = parts
    config = first.add("HypernetConfig", model=model)
    data = second.add("HypernetLoadDataset", **pictures)
    words = second.add("HypernetCaption", dataset=(data, 0))
    trainer = third.add(
        "HypernetTrain",
        model=model, clip=clip, vae=vae, dataset=(words, 0), config=(config, 0), **settings,
    )  # fmt: skip
    d.group("1. Model", [*loaders, config], BLUE)
    d.group("2. Pictures and words", [data, words], BLUE)
    d.group("3. Training", [trainer], VIOLET)
    return parts, trainer


def before_and_after(
    filled: list[Column], parts: Parts, trainer: int, text: str, **settings: Any
) -> None:
    """Add two pictures of one prompt in the last two columns, without and with the network."""
    model, clip, vae = parts
    left, right = filled[3:]
    size = {key: settings.pop(key) for key in ("pixels", "count", "empty") if key in settings}
    words = prompts(left, clip, text, **size)
    applied = left.add("HypernetApply", model=model, hypernet=(trainer, 0))
    made = two_pictures(
        (left, right), ("Before", "After"), (model, (applied, 0)), vae, words,
        bottom_of(*filled[:3]), **settings,
    )  # fmt: skip
    numbers = [*(source for source, _ in words), applied, *made]
    left.drawing.group("4. What it learnt", numbers, GREEN)


def first_network_demo(d: Drawing) -> None:
    filled = columns(d, *WIDTHS)
    filled[0].note(
        "1. Press **Run**. The model and the 64 pictures of faces and hearts came with Hypernet: "
        "nothing is downloaded.\n"
        "2. Watch *Train Hypernet*: every 50 updates it draws what it has learnt. Then compare "
        "*Before* and *After*.\n"
        "3. Change the *Prompt* to something simple, such as **sleeping face**, **purple heart** "
        "or **pizza**, and press **Run** again: only the pictures are made anew.\n\n"
        "To train again, give another *name*. For your own pictures, open the template "
        "**own_pictures_on_demo_model**; for a real model, **train_style**.",
    )
    on_the_demo_model(
        filled, "pictures [demo]", "grinning face", name="my_first_network", preview_every=50
    )


def own_pictures_on_demo_model(d: Drawing) -> None:
    filled = columns(d, *WIDTHS)
    filled[0].note(
        "1. Put 10 to 100 pictures into **input/my_pictures**, or give another *folder* in *Load "
        "Dataset*. Name each file for what it shows: **red heart.png**.\n"
        "2. Press **Run**. The model came with Hypernet: nothing is downloaded.\n"
        "3. Compare *Before* and *After*, and try other words as the *Prompt*.\n\n"
        "The demo model draws small and simple things, 128 pixels wide. It shows in minutes that "
        "all is well with your pictures. The template **train_style** trains a real model.",
    )
    on_the_demo_model(
        filled, "my_pictures", "red heart", name="my_pictures_on_demo", preview_every=50
    )


def on_the_demo_model(filled: list[Column], folder: str, prompt: str, **settings: Any) -> None:
    parts, trainer = trained(
        filled, demo_model, {"folder": folder, "width": 128, "height": 128},
        preset="quick look", preview_prompt=prompt, preview_cfg=4.0, **settings,
    )  # fmt: skip
    before_and_after(filled, parts, trainer, prompt, pixels=128, count=4, steps=16, cfg=4.0)


def train_style(d: Drawing) -> None:
    filled = columns(d, *WIDTHS)
    filled[0].note(
        "1. Put 10 to 100 pictures of the style into **input/my_pictures**. A **name.txt** beside "
        "a picture says what it shows; without one its file name does.\n"
        "2. Choose your SD 1.5 checkpoint, and a *name* for the network.\n"
        "3. Press **Run**. The file lands in **models/hypernetworks**. Interrupt whenever the "
        "previews please you: what was trained is kept, and the next Run goes on from there.\n\n"
        "It learns style better from many different pictures than from long training on few. "
        f"{NO_CHECKPOINT}",
    )
    parts, trainer = trained(filled, from_checkpoint, {"folder": "my_pictures"}, preview_every=250)
    before_and_after(filled, parts, trainer, FOX)


def train_on_anima(d: Drawing) -> None:
    train_on_transformer(
        d,
        "Anima. **anima-base-v1.0** belongs in models/diffusion_models, **qwen_3_06b_base** in "
        "models/text_encoders and **qwen_image_vae** in models/vae",
        "anima-base-v1.0.safetensors", ("qwen_3_06b_base.safetensors",), "stable_diffusion",
        "qwen_image_vae.safetensors", f"{FOX}, anime",
        steps=30, cfg=4.0, sampler_name="euler", scheduler="simple",
    )  # fmt: skip


def train_on_z_image(d: Drawing) -> None:
    train_on_transformer(
        d,
        "Z-Image: the base, as training breaks the Turbo's short cut. **z_image_bf16** belongs "
        "in models/diffusion_models, **qwen_3_4b** in models/text_encoders and **ae** in "
        "models/vae",
        "z_image_bf16.safetensors", ("qwen_3_4b.safetensors",), "lumina2",
        "ae.safetensors", FOX,
        steps=25, cfg=4.0, sampler_name="res_multistep", scheduler="simple",
    )  # fmt: skip


def train_on_flux(d: Drawing) -> None:
    train_on_transformer(
        d,
        "Flux.1 dev. **flux1-dev** belongs in models/diffusion_models, **clip_l** and "
        "**t5xxl_fp16** in models/text_encoders and **ae** in models/vae",
        "flux1-dev.safetensors", ("clip_l.safetensors", "t5xxl_fp16.safetensors"), "flux",
        "ae.safetensors", FOX,
        steps=20, cfg=1.0, sampler_name="euler", scheduler="simple",
    )  # fmt: skip


def train_on_transformer(
    d: Drawing, files: str, unet: str, texts: tuple[str, ...], kind: str, vae: str, prompt: str,
    **sampling: Any,
) -> None:  # fmt: skip
    """A style on a model whose parts are files of their own, by the names in ComfyUI's templates.

    files: which they are and where they belong, for the note.
    """
    filled = columns(d, *WIDTHS)
    filled[0].note(
        f"1. Choose the files of {files}.\n"
        "2. Put 10 to 100 pictures of the style into **input/my_pictures**, and give the network "
        "a *name*. A **name.txt** beside a picture says what it shows.\n"
        "3. Press **Run**. The file lands in **models/hypernetworks** and acts on this model "
        "alone.\n\n"
        "Where memory is short, choose smaller pictures in *Load Dataset*, or offload in *Train "
        "Hypernet*.",
    )

    def from_files(column: Column) -> tuple[list[int], Parts]:
        model = column.add("UNETLoader", unet_name=unet)
        if len(texts) == 2:
            names: dict[str, Any] = dict(zip(("clip_name1", "clip_name2"), texts, strict=True))
            clip = column.add("DualCLIPLoader", type=kind, **names)
        else:
            clip = column.add("CLIPLoader", clip_name=texts[0], type=kind)
        decoder = column.add("VAELoader", vae_name=vae)
        return [model, clip, decoder], ((model, 0), (clip, 0), (decoder, 0))

    parts, trainer = trained(
        filled, from_files, {"folder": "my_pictures", "width": 1024, "height": 1024},
        preview_every=250, preview_cfg=sampling["cfg"],
    )  # fmt: skip
    before_and_after(
        filled, parts, trainer, prompt, pixels=1024, empty="EmptySD3LatentImage", **sampling
    )


def train_subject_with_tagger(d: Drawing) -> None:
    first, second, third, fourth, fifth = columns(d, 350, 300, 320, 370, 330)
    first.note(
        "1. Put 10 to 30 pictures of one subject into **input/my_subject**, and a tagger's folder "
        "(its **model.onnx** and **selected_tags.csv**) into **models/wd14_tagger**; press **R** "
        "and choose it in *Caption*. A **name.txt** beside a picture counts before the tagger.\n"
        "2. Choose the *trigger word* that shall call the subject, and block the tags that "
        "describe it always (its hair, say): what is not said is learnt.\n"
        "3. Press **Run**. *Learning Rate* shows what *Train Hypernet* chooses, and why.\n\n"
        f"{NO_CHECKPOINT}",
    )
    model = checkpoint(first)
    config = first.add("HypernetConfig", model=(model, 0))
    d.group("1. Model", [model, config], BLUE)
    data = second.add("HypernetLoadDataset", folder="my_subject")
    cut = second.add("HypernetPrepare", dataset=(data, 0), crop="focal point", flip_copies=True)
    d.group("2. Pictures", [data, cut], BLUE)
    tags = third.add(
        "HypernetCaption",
        dataset=(cut, 0), source="sidecar, then tagger", tagger="WD tagger",
        trigger_word="my_subject",
    )  # fmt: skip
    words = third.add(
        "HypernetWords",
        dataset=(tags, 0), shuffle=True, keep_first=1, tag_dropout=0.1, caption_dropout=0.05,
    )  # fmt: skip
    d.group("3. Words", [tags, words], BLUE)
    trainer = fourth.add(
        "HypernetTrain",
        model=(model, 0), clip=(model, 1), vae=(model, 2), dataset=(words, 0), config=(config, 0),
        name="my_subject", preview_every=250,
    )  # fmt: skip
    d.group("4. Training", [trainer], VIOLET)
    rate = fifth.add("HypernetLearningRate", config=(config, 0), dataset=(words, 0))
    curve = fifth.add("PreviewImage", "Learning rate", 260, images=(rate, 3))
    grid = picture(fifth, "Last preview", "hypernet/my_subject", (trainer, 2), bottom_of(fourth))
    d.group("5. What it learnt", [rate, curve, grid], GREEN)


def resume(d: Drawing) -> None:
    filled = columns(d, 350, 300, 370, 310, 320)
    filled[0].note(
        "1. *continue_from*, under “Names and saving” of *Train Hypernet*, names the network to "
        "go on with. A **.optim** file of its name beside it brings the optimizer's state.\n"
        "2. Give more *steps* than it has had (they count on from there), and another *name*: the "
        "earlier file is kept.\n"
        "3. Press **Run**, and compare both networks with the model alone.\n\n"
        "A run that was interrupted needs none of this: queue it again, and it goes on. "
        f"{NO_CHECKPOINT}",
    )
    (model, *_), trainer = trained(
        filled, from_checkpoint, {"folder": "my_pictures"},
        name="my_style_longer", continue_from="my_style.pt", steps=4000, preview_every=250,
    )  # fmt: skip
    earlier = filled[3].add("HypernetLoad", "The earlier network", name="my_style.pt")
    made = comparison(filled[3], filled[3], model[0], [(earlier, 0), (trainer, 0)], "0, 1")
    saved = picture(filled[4], "", "hypernet/compared", (made[-1], 0), bottom_of(*filled[:3]))
    d.group("4. Side by side", [earlier, *made, saved], GREEN)
