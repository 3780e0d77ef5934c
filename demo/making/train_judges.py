"""Make the two judges of judges.py from real pictures.

    python -m demo.making.train_judges GOOGLE TWITTER ICONS --vae demo/tiny-sd/vae --work DIR
    python -m demo.making.train_judges … --style fluent-emoji-flat --out DIR    a style judge alone

GOOGLE and TWITTER are the unpacked npm packages of pictures.py, ICONS the folder with those of
hands.py. Every picture goes through the VAE: unchanged, with a little noise on its latents, because
a model's latents are never exact, and with far too much noise (damaged).

The style judge does not see the names that choose.py holds out, nor 15 % of the others; its
accuracy is measured on these. The content judge sees all names, because it must know what is asked
for. It must not depend on the style, and a network's style may lie between two others. So it also
sees four more hands, and half of its pictures are in other colours (damage.recast).

DIR keeps the reconstructions, so that a second run begins with the training, and a sheet of what
the judges saw. Training the bundled style judge took 13 minutes on one core. The content judge
would take an hour there; it took two minutes on a GPU, with the same functions.

With --style, the second set is one of hands.py instead of Twemoji, for the quality bench. Only a
style judge is made, of the names that this set has.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import save_file
from torch import Generator, Tensor

from ..judges import SIDE, STYLES, Judge, fullest_bins, save_judges
from ..pictures import SIGNS, Emoji, open_set, read_names
from . import damage
from .choose import hashed, split
from .hands import HANDS, open_hands
from .learning import HALF

# Stages: what a picture went through. The first four are imperfect at most; the last is damaged.
RAW, EXACT, NEAR, FAR, BROKEN = range(5)
FINE = (RAW, EXACT, NEAR, FAR)
STYLED = (RAW, EXACT, NEAR)  # in FAR, flat and shaded colours look alike


# --- pictures ------------------------------------------------------------------------------------


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pictures: Tensor, seed: int) -> Tensor:
    """Pictures (N, 3, 128, 128) uint8 at all stages RAW … BROKEN, (N, 5, 3, 64, 64) uint8."""
    found = []
    for first in range(0, len(pictures), 32):
        part = pictures[first : first + 32].float() / 255
        draw = Generator().manual_seed(seed + first)
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            latents = vae.encode(part * 2 - 1).latent_dist.mean.float() * vae.config.scaling_factor
            near = latents + torch.randn(latents.shape, generator=draw) * 0.15
            soft = F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, 1)
            far = torch.lerp(latents, soft, damage.uniform(draw, len(part), 0, 0.5))
            far = far + torch.randn(latents.shape, generator=draw) * 0.25
            variants = [latents, near, far, broken(latents, draw)]
            decoded = [vae.decode(v / vae.config.scaling_factor).sample.float() for v in variants]
        both = [part, *((d / 2 + 0.5).clamp(0, 1) for d in decoded)]
        small = [F.interpolate(p, (SIDE, SIDE), mode="area") for p in both]
        found.append((torch.stack(small, dim=1) * 255).round().byte())
        if first % 320 == 0:
            print(f"through the VAE: {first}/{len(pictures)}", flush=True)
    return torch.cat(found)


def broken(latents: Tensor, draw: Generator) -> Tensor:
    """Latents (B, 4, 16, 16) far from those of real pictures: scaled up, or mostly noise."""
    count = len(latents)
    blown = latents * damage.uniform(draw, count, 2, 3.5)
    noise = torch.randn(latents.shape, generator=draw)
    drowned = latents + noise * damage.uniform(draw, count, 0.9, 1.5)
    return torch.where(torch.rand(count, 1, 1, 1, generator=draw) < 0.5, blown, drowned)


def is_kept_from_style(name: Emoji) -> bool:
    return name.key in split()[1] or hashed("style " + name.key) % 100 < 15


# --- training ------------------------------------------------------------------------------------


def train(judge: Judge, batch: Callable[[Generator], tuple[Tensor, Tensor]], steps: int) -> Judge:
    """Train on batch(generator) -> (pictures, classes), with the generator seeded by the step."""
    optimizer = torch.optim.AdamW(judge.parameters(), lr=3e-3, weight_decay=0.02)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.15)
    judge.train().to(memory_format=torch.channels_last)
    began, right = time.time(), 0.0
    for step in range(steps):
        pictures, classes = batch(Generator().manual_seed(step))
        logits = judge(pictures.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, classes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        plan.step()
        right += (logits.argmax(dim=1) == classes).float().mean().item()
        if (step + 1) % 100 == 0:
            seconds = time.time() - began
            print(f"{step + 1}/{steps} right {right / 100:.3f} ({seconds:.0f} s)", flush=True)
            right = 0.0
    return judge.eval().to(memory_format=torch.contiguous_format)


def pick(seen: Tensor, hands: Tensor, names: Tensor, draw: Generator, stages: int) -> Tensor:
    """Undamaged pictures (B, 3, 64, 64), each at a random one of the first `stages` stages."""
    stage = torch.randint(stages, (len(names),), generator=draw)
    return seen[hands, names, stage].float() / 255


def exact(seen: Tensor, names: Tensor) -> Tensor:
    """Pictures of these names from the VAE, first one set's, then the other's."""
    return seen[:, names, EXACT].flatten(0, 1)


def train_style(seen: Tensor, learnt: Tensor, steps: int, third: int = 32) -> Judge:
    """Train the style judge on the rows `learnt` of seen.

    seen: (2, N, 5, 3, 64, 64) uint8, Noto and Twemoji.
    """

    def batch(draw: Generator) -> tuple[Tensor, Tensor]:
        names = learnt[torch.randint(len(learnt), (3 * third,), generator=draw)]
        sets = torch.arange(2).repeat_interleave(third)
        fine = damage.imperfect(pick(seen, sets, names[: 2 * third], draw, len(STYLED)), draw)
        others, sets = names[2 * third :], torch.randint(2, (third,), generator=draw)
        harmed = damage.damaged(
            damage.imperfect(pick(seen, sets, others, draw, len(FINE)), draw), draw
        )
        broken = seen[sets, others, BROKEN].float() / 255
        is_broken = torch.rand(third, 1, 1, 1, generator=draw) < 0.25
        harmed = torch.where(is_broken, broken, harmed)
        return torch.cat([fine, harmed]), torch.arange(3).repeat_interleave(third)

    torch.manual_seed(0)
    return train(Judge(len(STYLES), fullest_bins(exact(seen, learnt))), batch, steps)


def train_content(
    seen: Tensor, drawn: Tensor, classes: Tensor, kinds: int, steps: int, size: int = 80
) -> Judge:
    """Train the content judge.

    seen: (H, N, 5, 3, 64, 64) uint8, Noto and Twemoji first. drawn (H, N): which hand drew which
    name. classes (N,): each name's subcategory, 0 to kinds − 1.
    """
    shares = torch.tensor([3.0, 3.0, *[1.0] * (len(seen) - 2)])

    def batch(draw: Generator) -> tuple[Tensor, Tensor]:
        names = torch.randint(len(classes), (size,), generator=draw)
        odds = drawn.T[names] * shares
        hands = torch.multinomial(odds, 1, generator=draw).flatten()
        pictures = damage.imperfect(pick(seen, hands, names, draw, len(FINE)), draw)
        is_recast = torch.rand(size, 1, 1, 1, generator=draw) < 0.5
        return torch.where(is_recast, damage.recast(pictures, draw), pictures), classes[names]

    torch.manual_seed(1)
    everything = exact(seen[:2], torch.arange(len(classes)))
    # every second bin is enough, because colours say little about what is shown
    return train(Judge(kinds, fullest_bins(everything)[::2]), batch, steps)


# --- measuring -----------------------------------------------------------------------------------


@torch.no_grad()
def probabilities(judge: Judge, pictures: Tensor) -> Tensor:
    return torch.cat([judge(part).softmax(dim=1) for part in pictures.split(256)])


def measure_style(judge: Judge, seen: Tensor, unseen: Tensor) -> dict:
    """On names the judge never saw: its accuracy, and the scores of damaged pictures."""
    rows = {}
    for at, name in enumerate(STYLES[:2]):
        pictures = seen[at, unseen][:, [EXACT, NEAR]].flatten(0, 1).float() / 255
        found = probabilities(judge, pictures).argmax(dim=1)
        rows[name] = [round((found == i).float().mean().item(), 4) for i in range(len(STYLES))]
    twemoji = seen[1, unseen, EXACT].float() / 255
    harmed = {"broken": seen[1, unseen, BROKEN].float() / 255}
    for kind in damage.KINDS:
        harmed[kind.__name__] = kind(twemoji, Generator().manual_seed(0))
    scores = {k: probabilities(judge, p)[:, 1].mean().item() for k, p in harmed.items()}
    return {
        "classifier_accuracy": (rows["noto"][0] + rows["twemoji"][1]) / 2,
        "style_confusion": rows,
        "style_of_damaged_twemoji": {k: round(v, 4) for k, v in scores.items()},
    }


def measure_content(judge: Judge, seen: Tensor, classes: Tensor, held_out: Tensor) -> dict:
    """The accuracy of the subcategory, on training pictures that are bent in new ways."""
    found = {}
    for title, rows in (("content_accuracy", None), ("content_accuracy_held_out", held_out)):
        rows = torch.arange(len(classes)) if rows is None else rows
        pictures = seen[:, rows, FAR].flatten(0, 1).float() / 255
        pictures = damage.imperfect(pictures, Generator().manual_seed(0))
        right = probabilities(judge, pictures).argmax(dim=1) == classes[rows].repeat(2)
        found[title] = round(right.float().mean().item(), 4)
    return found


def draw_sheet(seen: Tensor, rows: Tensor) -> Image.Image:
    """A sheet: a row per stage for Noto and for Twemoji, one imperfect, and one per damage."""
    twemoji = seen[1, rows, EXACT].float() / 255
    lines = [seen[s, rows, stage].float() / 255 for s in (0, 1) for stage in range(5)]
    lines.append(damage.imperfect(twemoji, Generator().manual_seed(0)))
    lines += [kind(twemoji, Generator().manual_seed(0)) for kind in damage.KINDS]
    page = torch.cat([torch.cat(list(line), dim=2) for line in lines], dim=1)
    return Image.fromarray((page * 255).round().byte().movedim(0, -1).numpy())


def make_style_judge(names: list[Emoji], options: argparse.Namespace) -> None:
    """Write judge.safetensors and judge.json into options.out."""
    pictures, drawn = open_hands(names, options.icons)
    place = HANDS.index(options.style)
    rows = drawn[place].nonzero().flatten()
    names = [names[row] for row in rows.tolist()]
    vae = AutoencoderKL.from_pretrained(options.vae).float().eval()
    sets = open_set(names, options.google, "google"), pictures[place, rows]
    seen = torch.stack([reconstruct(vae, each, seed=i) for i, each in enumerate(sets)])
    learnt = torch.tensor([i for i, name in enumerate(names) if not is_kept_from_style(name)])
    unseen = [
        i for i, n in enumerate(names) if is_kept_from_style(n) and n.subcategory not in SIGNS
    ]
    judge = train_style(seen, learnt, options.style_steps)
    record = measure_style(judge, seen, torch.tensor(unseen))
    print(record)
    options.out.mkdir(parents=True, exist_ok=True)
    weights = {k: v.half() if v.is_floating_point() else v for k, v in judge.state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, options.out / "judge.safetensors")
    (options.out / "judge.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("google", type=Path)
    parser.add_argument("twitter", type=Path)
    parser.add_argument("icons", type=Path)
    parser.add_argument("--vae", type=Path, default=Path(__file__).parents[1] / "tiny-sd" / "vae")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "judges")
    parser.add_argument("--style-steps", type=int, default=1800)
    parser.add_argument("--content-steps", type=int, default=7000)
    parser.add_argument("--style", choices=HANDS, help="another set than Twemoji; a style judge")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    names = read_names(options.google, options.twitter)
    if options.style:
        make_style_judge(names, options)
        return
    kept = options.work / "reconstructions.pt"
    if not kept.exists():
        vae = AutoencoderKL.from_pretrained(options.vae).float().eval()
        sets = (options.google, "google"), (options.twitter, "twitter")
        pictures, drawn = open_hands(names, options.icons)
        pictures = [*(open_set(names, folder, vendor) for folder, vendor in sets), *pictures]
        seen = torch.stack([reconstruct(vae, p, seed=i) for i, p in enumerate(pictures)])
        everywhere = torch.ones(2, len(names), dtype=torch.bool)
        torch.save((seen, torch.cat([everywhere, drawn])), kept)
    seen, drawn = torch.load(kept, weights_only=True)
    both = seen[:2]

    held_out = torch.tensor([i for i, n in enumerate(names) if n.key in split()[1]])
    draw_sheet(both, held_out[::4]).save(options.work / "sheet.png")
    things = [i for i, n in enumerate(names) if n.subcategory not in SIGNS]
    learnt = torch.tensor([i for i, n in enumerate(names) if not is_kept_from_style(n)])
    unseen = torch.tensor([i for i in things if is_kept_from_style(names[i])])
    style = train_style(both, learnt, options.style_steps)
    record = measure_style(style, both, unseen)
    print(record, flush=True)

    sizes = Counter(n.subcategory for n in names)
    labels = [n.subcategory if sizes[n.subcategory] >= 5 else "other" for n in names]
    kinds = sorted(set(labels))
    classes = torch.tensor([kinds.index(label) for label in labels])
    content = train_content(seen, drawn, classes, len(kinds), options.content_steps)
    record |= measure_content(content, both, classes, held_out)
    print(record)
    save_judges(options.out, style, content, {"subcategories": kinds, **record})


if __name__ == "__main__":
    main()
