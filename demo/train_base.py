"""Make the bundled tiny model: Stable Diffusion's shape, a hundredth of its size, drawing Noto.

    python -m demo.train_base GOOGLE TWITTER --work DIR --out demo/tiny-sd

GOOGLE and TWITTER are the unpacked folders of the npm packages `emoji-datasource-google` and
`emoji-datasource-twitter` (see pictures.py). Three parts of SD 1.x's kinds, all small: a VAE
(f = 8, 4 latent channels, learnt on both sets, so that it favours no style), a CLIP text model
with a vocabulary of its own, and a UNet with self- and cross-attention (learnt on Noto alone).
The text width, 96, is no channel width of the UNet, so every hypernetwork width has one meaning.

Every stage goes on from the newest state in DIR, so the script may be stopped at any time.
The bundled weights took an hour on two cores, with an older model to start from; sharpen_vae.py has
gone on with their VAE since.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .pictures import SIGNS, SIZE, Emoji, open_picture, picture_path, read_names, to_tensor

TEXT_LENGTH = 24  # tokens; the longest name has 15
TEXT_WIDTH = 96
COPIES = 12  # latents of a name that the UNet learns from
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# On the CPU bfloat16 is quick from AVX-512 on and ten times slower than float32 below.
HALF = DEVICE == "cuda" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
KL = 1e-5  # weight of the divergence, per latent number
FORGIVEN = 0.15  # of the latents' spread: noise that the decoder learns to draw over
SCALING_FACTOR = 0.18215  # Stable Diffusion's; the VAE is rescaled so that it is right here too


def new_vae() -> AutoencoderKL:
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[16, 32, 64, 64],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=SCALING_FACTOR,
    )
    torch.nn.init.constant_(vae.quant_conv.bias[4:], -6)  # start almost without noise: else the
    return vae  # channels that carry least, the greens, never rise out of it


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        block_out_channels=[48, 112, 128],
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,  # diffusers means the number of heads, as in Stable Diffusion 1.x
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
    """Stable Diffusion 1.x's: 1000 steps, scaled-linear betas, the model predicts the noise."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


# --- state on disk -------------------------------------------------------------------------------


def save_state(path: Path, state: dict) -> None:
    beside = path.with_suffix(".new")
    torch.save(state, beside)
    beside.replace(path)


def cosine(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))))


# --- the VAE -------------------------------------------------------------------------------------


def edges(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return pictures.diff(dim=-1), pictures.diff(dim=-2)


def picture_loss(found: torch.Tensor, real: torch.Tensor, colours: float = 2.0) -> torch.Tensor:
    """Mean absolute error of pixels, of their differences (outlines stay sharp) and, `colours`
    times, of the hues of 8×8 squares; (B, 3, H, W) each."""
    along = zip(edges(found), edges(real), strict=True)
    fine = F.l1_loss(found, real) + sum(F.l1_loss(f, r) for f, r in along)
    return fine + colours * F.l1_loss(hues(found), hues(real))


def hues(pictures: torch.Tensor, side: int = 8) -> torch.Tensor:
    """Means of squares along the colours' principal axes, each of about unit spread: from blue
    to orange counts as much as from dark to light, and so does from magenta to green, the weakest
    axis, which a VAE of four channels else leaves out."""
    light, orange, green = [0.57, 0.85, 0.99], [1.48, 0.27, -1.07], [-1.92, 3.36, -1.78]
    axes = torch.tensor([light, orange, green], device=pictures.device)
    return torch.einsum("bchw,ac->bahw", F.avg_pool2d(pictures, side), axes)


def train_vae(pictures: torch.Tensor, steps: int, work: Path, batch: int = 16) -> AutoencoderKL:
    """Nine tenths of the steps look at quarters of pictures, the last tenth at whole ones.

    Colours come first: left alone, the four channels go to shapes and the greens are lost. From
    step 1000 on the decoder sees latents as inexact as a sampler's, so that it draws no speckles
    from them.
    """
    torch.manual_seed(0)
    vae = new_vae().to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0)
    state, start = work / "vae.pt", 0
    if state.exists():
        saved = torch.load(state, map_location=DEVICE, weights_only=True)
        vae.load_state_dict(saved["vae"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    began = time.time()
    for step in range(start, steps):
        optimizer.param_groups[0]["lr"] = cosine(step, steps, 2e-3)
        draw = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(pictures), (batch,), generator=draw)
        real = pictures[chosen].to(DEVICE).float() / 127.5 - 1
        if step < steps * 9 // 10:
            x, y = torch.randint(SIZE // 2, (2,), generator=draw).tolist()
            real = real[..., y : y + SIZE // 2, x : x + SIZE // 2]
        real = real.contiguous(memory_format=torch.channels_last)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALF):
            posterior = vae.encode(real).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=draw).to(DEVICE)
            forgiven = FORGIVEN * min(1, max(0, step / 500 - 2)) * posterior.mean.detach().std()
            latents = posterior.mean + (posterior.std.square() + forgiven**2).sqrt() * noise
            found = vae.decode(latents).sample.float()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        colours = 2 + 30 * max(0, 1 - step / 1000)
        loss = picture_loss(found, real, colours) + KL * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            save_state(
                state,
                {
                    "vae": vae.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                },
            )
            pace = (step + 1 - start) / (time.time() - began)
            print(
                f"vae {step + 1}/{steps} loss {loss.item():.4f} kl {kl.item():.2f} {pace:.2f}/s",
                flush=True,
            )
    return vae.eval()


def polish(vae: AutoencoderKL, pictures: torch.Tensor, steps: int, work: Path) -> None:
    """Train the decoder alone, with next to no noise, so that edges and flat colours come back;
    latents stay what they are. The first two thirds of the steps see quarters of pictures."""
    done = work / "decoder.pt"
    parts = torch.nn.ModuleList([vae.post_quant_conv, vae.decoder])
    if done.exists():
        parts.load_state_dict(torch.load(done, map_location=DEVICE, weights_only=True))
        return
    latents = encode(vae, pictures)[0]
    vae.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parts.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0)
    began, running = time.time(), 0.0
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = cosine(step, steps, 1e-3)
        draw = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(pictures), (16,), generator=draw)
        seen, real = latents[chosen], pictures[chosen]
        if step < steps * 2 // 3:
            x, y = torch.randint(SIZE // 16 + 1, (2,), generator=draw).tolist()
            seen = seen[..., y : y + SIZE // 16, x : x + SIZE // 16]
            real = real[..., y * 8 : y * 8 + SIZE // 2, x * 8 : x * 8 + SIZE // 2]
        noise = torch.randn(seen.shape, generator=draw) * FORGIVEN / 4 / SCALING_FACTOR
        real = real.to(DEVICE).float() / 127.5 - 1
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALF):
            found = vae.decode((seen + noise).to(DEVICE)).sample.float()
        loss = picture_loss(found, real)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        running += loss.item()
        if (step + 1) % 100 == 0:
            pace = (step + 1) / (time.time() - began)
            print(f"decoder {step + 1}/{steps} loss {running / 100:.4f} {pace:.2f}/s", flush=True)
            running = 0.0
    save_state(done, parts.state_dict())


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unscaled latent means and standard deviations, (N, 4, 16, 16) each."""
    found = [
        vae.encode(part.to(DEVICE).float() / 127.5 - 1).latent_dist for part in pictures.split(64)
    ]
    return torch.cat([f.mean for f in found]).cpu(), torch.cat([f.std for f in found]).cpu()


@torch.no_grad()
def rescale(vae: AutoencoderKL, spread: float) -> None:
    """Fold a factor into the 1x1 convolutions about the latents, so that latents times
    SCALING_FACTOR have unit spread and every loader of SD 1.x VAEs is right about this one."""
    factor = 1 / (SCALING_FACTOR * spread)
    vae.quant_conv.weight[:4] *= factor
    vae.quant_conv.bias[:4] *= factor
    vae.quant_conv.bias[4:] += 2 * math.log(factor)
    vae.post_quant_conv.weight /= factor


def varied(pictures: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Copies turned, scaled, shifted and tinted a little; (N, 3, H, W) uint8 on white.

    A model that has seen every name in one picture only knows them by heart, and breaks when a
    hypernetwork steers it; this one has room about each.
    """

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(len(pictures), *shape, generator=draw) * (high - low) + low

    turn, scale, shift = uniform(-0.05, 0.05), uniform(0.97, 1.1), uniform(-0.05, 0.05, 2)
    rows = [
        torch.stack([turn.cos() * scale, -turn.sin() * scale, shift[:, 0]], dim=1),
        torch.stack([turn.sin() * scale, turn.cos() * scale, shift[:, 1]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pictures.shape), align_corners=False)
    bent = 1 - F.grid_sample(1 - pictures.float() / 255, grid, align_corners=False)
    grey = bent.mean(dim=1, keepdim=True)
    tinted = grey + (bent - grey) * uniform(0.9, 1.1, 1, 1, 1)
    tinted = 1 - (1 - tinted) * uniform(0.95, 1.05, 3, 1, 1)
    return (tinted.clamp(0, 1) * 255).round().byte()


def encode_varied(vae: AutoencoderKL, pictures: torch.Tensor, work: Path) -> torch.Tensor:
    """Scaled latents (N, COPIES, 4, 16, 16): half of them of the picture as it is."""
    kept = work / "latents.pt"
    if not kept.exists():
        draw = torch.Generator().manual_seed(0)
        plain = encode(vae, pictures)[0]
        bent = [encode(vae, varied(pictures, draw))[0] for _ in range(COPIES // 2)]
        torch.save(torch.stack([plain] * (COPIES // 2) + bent, dim=1) * SCALING_FACTOR, kept)
    return torch.load(kept, weights_only=True)


# --- text and UNet -------------------------------------------------------------------------------


def make_tokenizer(names: list[Emoji], folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer whose byte pairs were learnt on the names: most words are one token."""
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


@torch.no_grad()
def follow(average: list[torch.Tensor], now: list[torch.Tensor], count: torch.Tensor) -> None:
    """The mean of about the last ninth of the steps: what was there at first is soon forgotten."""
    torch._foreach_lerp_(average, now, 1 - min(0.9995, (1 + int(count)) / (10 + int(count))))


def train_unet(
    latents: torch.Tensor,
    names: list[Emoji],
    tokenizer: CLIPTokenizer,
    steps: int,
    work: Path,
    start_from: Path | None = None,
    batch: int = 48,
    save_every: int = 250,
) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    """Text model and UNet, together, on scaled latents (N, K, 4, 16, 16), K pictures of each name;
    gives the averaged weights.

    `start_from` names a model of another VAE to begin with: what its middle knows of words and
    shapes stays true, and the ends are soon learnt anew.

    Loss: noise prediction, weighted by min(SNR, 5)/SNR (Hang et al. 2023): a tiny model should
    spend itself on what is drawn, not on the last speck of noise. One caption in ten is empty.
    """
    torch.manual_seed(0)
    nets = torch.nn.ModuleDict({"text": new_text_model(len(tokenizer)), "unet": new_unet()}).to(
        DEVICE
    )
    if start_from:
        text, unet = CLIPTextModel, UNet2DConditionModel
        for name, kind, folder in (("text", text, "text_encoder"), ("unet", unet, "unet")):
            known = kind.from_pretrained(start_from / folder).float()
            nets[name].load_state_dict(known.state_dict())
    average = torch.optim.swa_utils.AveragedModel(nets, multi_avg_fn=follow)
    optimizer = torch.optim.AdamW(
        nets.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    state, start = work / "unet.pt", 0
    if state.exists():
        saved = torch.load(state, map_location=DEVICE, weights_only=True)
        nets.load_state_dict(saved["nets"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]

    owner = torch.tensor([i for i, name in enumerate(names) for _ in name.captions])
    tokens = tokenize(tokenizer, [text for name in names for text in name.captions])
    empty = tokenize(tokenizer, [""])
    # every name is drawn equally often, each of its captions in turn
    first = torch.tensor([int((owner == i).nonzero()[0]) for i in range(len(names))])
    several = torch.tensor([len(name.captions) for name in names])
    alphas = noise_schedule().alphas_cumprod
    weight = (alphas / (1 - alphas)).clamp(max=5) / (alphas / (1 - alphas))
    if DEVICE == "cpu":  # plain matrix products: torch's fused attention is slow backwards there
        nets["unet"].set_attn_processor(AttnProcessor())

    running, began = 0.0, time.time()
    for step in range(start, steps):
        optimizer.param_groups[0]["lr"] = cosine(step, steps, 1.2e-3, warmup=300)
        draw = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(names), (batch,), generator=draw)
        caption = first[chosen] + (torch.rand(batch, generator=draw) * several[chosen]).long()
        ids = torch.where(torch.rand(batch, 1, generator=draw) < 0.1, empty, tokens[caption])
        t = torch.randint(1000, (batch,), generator=draw)
        noise = torch.randn(batch, *latents.shape[2:], generator=draw)
        alpha = alphas[t].view(-1, 1, 1, 1)
        clean = latents[chosen, torch.randint(latents.shape[1], (batch,), generator=draw)]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALF):
            context = nets["text"](ids.to(DEVICE)).last_hidden_state
            found = nets["unet"](noisy.to(DEVICE), t.to(DEVICE), context).sample.float()
        error = (found - noise.to(DEVICE)).square().mean(dim=(1, 2, 3))
        loss = (error * weight[t].to(DEVICE)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(nets.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(nets)
        running += loss.item()
        if (step + 1) % save_every == 0 or step + 1 == steps:
            save_state(
                state,
                {
                    "nets": nets.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                },
            )
            pace = (step + 1 - start) / (time.time() - began)
            mean = running / min(save_every, step + 1 - start)
            print(f"unet {step + 1}/{steps} loss {mean:.4f} {pace:.2f}/s", flush=True)
            running = 0.0
    return average.module["text"].eval(), average.module["unet"].eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("google", type=Path)
    parser.add_argument("twitter", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tiny-sd")
    parser.add_argument("--vae-steps", type=int, default=4500)
    parser.add_argument("--decoder-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--start-from", type=Path, help="diffusers folder: its text model and UNet")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    names = read_names(options.google, options.twitter)
    print(len(names), "names")
    noto = to_tensor([open_picture(picture_path(options.google, "google", n.file)) for n in names])
    twemoji = to_tensor(
        [open_picture(picture_path(options.twitter, "twitter", n.file)) for n in names]
    )
    vae = train_vae(torch.cat([noto, twemoji]), options.vae_steps, options.work)
    rescale(vae, float(encode(vae, noto)[0].std()))
    polish(vae, torch.cat([noto, twemoji]), options.decoder_steps, options.work)
    drawn = [i for i, name in enumerate(names) if name.subcategory not in SIGNS]
    latents = encode_varied(vae, noto[drawn], options.work)
    print(f"latents: mean {latents.mean():.3f}, spread {latents.std():.3f}", flush=True)
    if options.start_from:
        tokenizer = CLIPTokenizer.from_pretrained(options.start_from / "tokenizer")
    else:
        tokenizer = make_tokenizer(names, options.work / "tokenizer")
    text, unet = train_unet(
        latents,
        [names[i] for i in drawn],
        tokenizer,
        options.steps,
        options.work,
        options.start_from,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=noise_schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(torch.float16).save_pretrained(options.out, safe_serialization=True)
    print(f"saved in {options.out}")


if __name__ == "__main__":
    main()
