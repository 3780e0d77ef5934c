"""The examples that train."""

from __future__ import annotations

from typing import Any

from .drawing import Drawing
from .parts import BLUE, GREEN, VIOLET, before_and_after, checkpoint, comparison, whole


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
