"""Make the bundled tiny model: Stable Diffusion's shape, a hundredth of its size, drawing Noto.

    python -m demo.making.train_base GOOGLE TWITTER ICONS --vae DIR/vae --work DIR --out tiny-sd

GOOGLE and TWITTER are the unpacked npm packages of pictures.py, ICONS those of hands.py, and the
VAE is train_vae.py's. This script trains a CLIP text model with its own vocabulary and a UNet with
self- and cross-attention. The text width, 96, differs from all channel widths of the UNet, so every
width of a hypernetwork has one meaning.

It learns from Noto's pictures, in other palettes too, and from other hands' (pool.py).

The bundled weights were trained further from older ones (--start-from), with the first version of
this script, in which a third of the palettes were moved towards the other hands' colours. They are
those after 20,157 of some 60,000 steps of 256 pictures, which took five minutes on an H100. After
more steps the model drew Noto better, but broke sooner under a hypernetwork.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Generator, Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..pictures import SIGNS, Emoji, read_names
from .learning import DEVICE, HALF, learn
from .pool import WELL_KNOWN, Manner, Picker, Pool, open_pool

TEXT_LENGTH = 24  # tokens; the longest name has 15
TEXT_WIDTH = 96
BATCH = 256


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        block_out_channels=[48, 112, 128],
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,  # despite the name, the number of heads, as in Stable Diffusion 1.x
    )


def new_text_model(vocabulary: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH * 4,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TEXT_LENGTH,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )


def noise_schedule() -> DDIMScheduler:
    """Stable Diffusion 1.x's schedule: 1000 steps, scaled-linear betas, noise prediction."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


# --- text ----------------------------------------------------------------------------------------


def make_tokenizer(names: list[Emoji], folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer with byte pairs learnt on the names, so that most words are one token."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~")
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=2,
        end_of_word_suffix="</w>",
        initial_alphabet=letters,
        show_progress=False,
    )
    learner.train_from_iterator((text for name in names for text in name.captions), trainer)
    learnt = json.loads(learner.to_str())["model"]
    vocabulary = dict(learnt["vocab"])
    for letter in letters:
        vocabulary.setdefault(letter + "</w>", len(vocabulary))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    merges = [" ".join(m) if isinstance(m, list) else m for m in learnt["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        model_max_length=TEXT_LENGTH,
    )


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    return tokenizer(
        texts, padding="max_length", truncation=True, max_length=TEXT_LENGTH, return_tensors="pt"
    ).input_ids


# --- training ------------------------------------------------------------------------------------


class Base(nn.Module):
    """Text model and UNet, and the vectors for palettes and hands, which only training uses."""

    def __init__(self, text: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text, self.unet = text, unet
        self.manner = Manner(TEXT_WIDTH)

    def forward(self, noisy: Tensor, t: Tensor, ids: Tensor, manner: Tensor) -> Tensor:
        """The predicted noise. manner (B, TEXT_WIDTH): palette or hand, added to every token."""
        context = self.text(ids).last_hidden_state + manner.unsqueeze(1)
        return self.unet(noisy, t, context).sample


class Lesson:
    """lesson(step) returns the loss of a step. Its random numbers are seeded by the step.

    The loss is that of noise prediction, weighted by min(SNR, 5)/SNR (Hang et al. 2023), so that a
    tiny model's capacity goes into shapes, not into the last bit of noise. Four in ten names are
    chosen from WELL_KNOWN subcategories.
    """

    def __init__(self, base: Base, pool: Pool, names: list[Emoji], tokenizer: CLIPTokenizer):
        self.base = base
        known = [i for i, name in enumerate(names) if name.subcategory in WELL_KNOWN]
        tokens = [tokenize(tokenizer, list(name.captions)) for name in names]
        empty = tokenize(tokenizer, [""])[0]
        self.picker = Picker(pool, tokens, empty, [(0.4, torch.tensor(known))])
        self.alphas = noise_schedule().alphas_cumprod
        snr = self.alphas / (1 - self.alphas)
        self.weight = snr.clamp(max=5) / snr

    def __call__(self, step: int) -> Tensor:
        draw = Generator().manual_seed(step)
        batch = self.picker.pick(BATCH, draw)
        t = torch.randint(1000, (BATCH,), generator=draw)
        noise = torch.randn(batch.clean.shape, generator=draw)
        alpha = self.alphas[t].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * batch.clean + (1 - alpha).sqrt() * noise
        manner = self.base.manner(batch.moves.to(DEVICE), batch.hand.to(DEVICE))
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALF):
            found = self.base(noisy.to(DEVICE), t.to(DEVICE), batch.ids.to(DEVICE), manner).float()
        error = (found - noise.to(DEVICE)).square().mean(dim=(1, 2, 3))
        return (error * self.weight[t].to(DEVICE)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("google", type=Path)
    parser.add_argument("twitter", type=Path)
    parser.add_argument("icons", type=Path)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "tiny-sd")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--copies", type=int, default=24, help="of a name's plain picture")
    parser.add_argument("--palettes", type=int, default=160, help="in which a name is drawn")
    parser.add_argument("--start-from", type=Path, help="diffusers folder: its text model and UNet")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    everything = read_names(options.google, options.twitter)
    names = [name for name in everything if name.subcategory not in SIGNS]
    vae = AutoencoderKL.from_pretrained(options.vae).float().to(DEVICE).eval()
    pool = open_pool(
        options.work / "pool.pt",
        vae,
        names,
        options.google,
        options.icons,
        copies=options.copies,
        palettes=options.palettes,
    )

    torch.manual_seed(0)
    if options.start_from:
        tokenizer = CLIPTokenizer.from_pretrained(options.start_from / "tokenizer")
        text = CLIPTextModel.from_pretrained(options.start_from / "text_encoder")
        unet = UNet2DConditionModel.from_pretrained(options.start_from / "unet")
    else:
        tokenizer = make_tokenizer(everything, options.work / "tokenizer")
        text, unet = new_text_model(len(tokenizer)), new_unet()
    base = Base(text.float(), unet.float()).to(DEVICE)
    if DEVICE == "cpu":  # plain attention: the backward pass of torch's fused one is slow there
        unet.set_attn_processor(AttnProcessor())
    lesson, state = Lesson(base, pool, names, tokenizer), options.work / "base.pt"
    learn(base, lesson, steps=options.steps, peak=1.2e-3, state=state, weight_decay=0.01)
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=base.text,
        tokenizer=tokenizer,
        unet=base.unet,
        scheduler=noise_schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to("cpu", torch.float16).save_pretrained(options.out, safe_serialization=True)
    words = options.out / "tokenizer" / "tokenizer.json"  # is half as large without indentation
    words.write_text(json.dumps(json.loads(words.read_text("utf-8")), separators=(",", ":")))
    print(f"saved in {options.out}")


if __name__ == "__main__":
    main()
