"""Make the tiny DiT: Lumina-Image 2's shape with 3.8 M parameters instead of 2.6 B, drawing Noto.

    python -m demo.making.train_dit GOOGLE TWITTER ICONS --work DIR
    python -m demo.making.train_dit … --steps N        end at step N; the rate falls before it
    python -m demo.making.train_dit … --save-only      save what has been learnt so far

GOOGLE and TWITTER are the unpacked npm packages of pictures.py, ICONS those of hands.py. The VAE
and the text model are the tiny UNet's, both frozen. Text and picture are one sequence of 24 + 64
tokens, in which all attend to all. Only the transformer is trained and saved; it learns from the
same pictures as the UNet (pool.py).

It learns by flow matching: x = (1 − σ)·x₀ + σ·n with σ = sigmoid(N(0, 1)), and the loss is that of
v = n − x₀ (flow.py says which way time runs). It may be stopped at any time and started again. To
end a long run early, start it again with --steps: what it has made, and --decay more.

The bundled weights are those after 8,000 steps of 32 pictures, with a falling rate in the last
1,500: an hour and a half on one core of a Xeon. More steps would draw rare things better.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, Lumina2Transformer2DModel
from diffusers.models.attention_processor import Attention
from torch import Generator, Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..flow import velocity
from ..pictures import SIGNS, Emoji, read_names
from .choose import FACES_AND_HEARTS
from .learning import DEVICE, HALF, learn
from .pool import WELL_KNOWN, Manner, Picker, Pool, open_pool
from .train_base import TEXT_WIDTH, tokenize

SHARED = Path(__file__).parents[1] / "tiny-sd"
BATCH = 32
DEMO, KNOWN = 0.4, 0.35  # shares of the names: the demo's faces and hearts, and WELL_KNOWN
OPEN = 0.25  # the gates of the branches, before tanh, at the start


def new_transformer() -> Lumina2Transformer2DModel:
    """3.8 M parameters. Branches begin a little open, whatever the time, and the answer is 0."""
    transformer = Lumina2Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        hidden_size=192,
        num_layers=6,
        num_refiner_layers=1,
        num_attention_heads=4,
        num_kv_heads=2,
        multiple_of=32,
        ffn_dim_multiplier=0.5,  # of four times the width
        axes_dim_rope=(16, 16, 16),
        axes_lens=(64, 64, 64),
        cap_feat_dim=TEXT_WIDTH,
    )
    for block in [*transformer.noise_refiner, *transformer.layers]:
        nn.init.zeros_(block.norm1.linear.weight)
        for part, value in zip(block.norm1.linear.bias.data.chunk(4), (0, OPEN) * 2, strict=True):
            part.fill_(value)  # scale and gate of the attention, then of the MLP
    for layer in (transformer.norm_out.linear_1, transformer.norm_out.linear_2):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return transformer


class PlainAttention:
    """Lumina2AttnProcessor2_0 in plain operations, for training on a CPU.

    There the backward pass of torch's fused attention is slow, and inductor can't compile complex
    numbers. All texts have one length, so there is nothing to mask, and one row of the batch has
    the positions of all.
    """

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Tensor | None = None,
    ) -> Tensor:
        (batch, tokens, width), heads = hidden_states.shape, attn.heads
        shape = (batch, tokens, -1, width // heads)
        queries = attn.norm_q(attn.to_q(hidden_states).view(shape))
        keys = attn.norm_k(attn.to_k(hidden_states).view(shape))
        values = attn.to_v(hidden_states).view(shape)
        turns = torch.view_as_real(image_rotary_emb[:1]).float().unsqueeze(2)
        queries, keys = (turned(x, turns).to(values.dtype) for x in (queries, keys))
        sharing = heads // keys.shape[2]
        keys, values = (x.repeat_interleave(sharing, dim=2) for x in (keys, values))
        queries, keys, values = (x.transpose(1, 2) for x in (queries, keys, values))
        weights = (queries @ keys.mT * attn.scale).float().softmax(-1).to(values.dtype)
        return attn.to_out[0]((weights @ values).transpose(1, 2).reshape(batch, tokens, width))


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """x (B, T, heads, D), each pair of numbers turned by turns (1, T, 1, D/2, 2), (cos, sin)."""
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = turns.unbind(-1)
    return torch.stack([first * cos - second * sin, first * sin + second * cos], -1).flatten(-2)


def speed_up(transformer: Lumina2Transformer2DModel) -> None:
    """Train two and a half times as fast on a CPU: its blocks are many small operations."""
    for module in transformer.modules():
        if isinstance(module, Attention):
            module.set_processor(PlainAttention())
    refiners = (*transformer.context_refiner, *transformer.noise_refiner)
    for block in (*refiners, *transformer.layers):
        block.compile(dynamic=False)


class Base(nn.Module):
    """The transformer, and the vectors for palettes and hands, which only training uses."""

    def __init__(self, transformer: Lumina2Transformer2DModel) -> None:
        super().__init__()
        self.transformer, self.manner = transformer, Manner(TEXT_WIDTH)


class Lesson:
    """lesson(step) returns the loss of a step. Its random numbers are seeded by the step."""

    def __init__(self, base: Base, text: CLIPTextModel, picker: Picker, batch: int = BATCH) -> None:
        self.base, self.text, self.picker, self.batch = base, text, picker, batch

    def __call__(self, step: int) -> Tensor:
        draw = Generator().manual_seed(step)
        batch = self.picker.pick(self.batch, draw)
        sigma = torch.randn(self.batch, generator=draw).sigmoid()
        noise = torch.randn(batch.clean.shape, generator=draw)
        noisy = torch.lerp(batch.clean, noise, sigma.view(-1, 1, 1, 1)).to(DEVICE)
        with torch.no_grad():
            context = self.text(batch.ids.to(DEVICE)).last_hidden_state
        manner = self.base.manner(batch.moves.to(DEVICE), batch.hand.to(DEVICE))
        context = context + manner.unsqueeze(1)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALF):
            found = velocity(self.base.transformer, noisy, sigma.to(DEVICE), context)
        return (found.float() - (noise - batch.clean).to(DEVICE)).square().mean()


def new_picker(pool: Pool, names: list[Emoji], tokenizer: CLIPTokenizer) -> Picker:
    demo = {key for keys in FACES_AND_HEARTS.values() for key in keys.split()}
    groups = (
        (DEMO, [i for i, name in enumerate(names) if name.key in demo]),
        (KNOWN, [i for i, name in enumerate(names) if name.subcategory in WELL_KNOWN]),
    )
    tokens = [tokenize(tokenizer, list(name.captions)) for name in names]
    often = [(share, torch.tensor(numbers)) for share, numbers in groups]
    return Picker(pool, tokens, tokenize(tokenizer, [""])[0], often)


def save_model(transformer: Lumina2Transformer2DModel, folder: Path) -> None:
    """In half precision, as diffusers does, without copies of what it shares with the UNet."""
    transformer.to("cpu", torch.float16).save_pretrained(folder / "transformer")
    FlowMatchEulerDiscreteScheduler(shift=1.0).save_pretrained(folder / "scheduler")
    print(f"saved in {folder}")


def read_average(state: Path, base: Base) -> int:
    """Put the averaged weights of a state into base; returns its step."""
    saved = torch.load(state, map_location=DEVICE, weights_only=True)
    average = {k.removeprefix("module."): v for k, v in saved["average"].items()}
    average.pop("n_averaged")
    base.load_state_dict(average)
    return saved["step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("google", type=Path)
    parser.add_argument("twitter", type=Path)
    parser.add_argument("icons", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "tiny-dit")
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--decay", type=int, default=2000, help="last steps, with a falling rate")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--copies", type=int, default=8, help="of a name's plain picture")
    parser.add_argument("--palettes", type=int, default=32, help="in which a name is drawn")
    parser.add_argument("--save-only", action="store_true", help="save the average so far")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    state = options.work / "dit.pt"

    torch.manual_seed(0)
    base = Base(new_transformer()).to(DEVICE)
    if options.save_only:
        print(f"step {read_average(state, base)}")
        save_model(base.transformer, options.out)
        return
    everything = read_names(options.google, options.twitter)
    names = [name for name in everything if name.subcategory not in SIGNS]
    vae = AutoencoderKL.from_pretrained(SHARED / "vae").float().to(DEVICE).eval()
    pool = open_pool(
        options.work / "pool.pt",
        vae,
        names,
        options.google,
        options.icons,
        copies=options.copies,
        palettes=options.palettes,
    )
    text = CLIPTextModel.from_pretrained(SHARED / "text_encoder").float().to(DEVICE).eval()
    picker = new_picker(pool, names, CLIPTokenizer.from_pretrained(SHARED / "tokenizer"))
    if DEVICE == "cpu":
        speed_up(base.transformer)
    lesson = Lesson(base, text.requires_grad_(False), picker)
    size = {"steps": options.steps, "decay": options.decay, "peak": options.rate}
    learn(base, lesson, state=state, weight_decay=0.01, **size)
    save_model(base.transformer, options.out)


if __name__ == "__main__":
    main()
