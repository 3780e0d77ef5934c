"""The latents that the tiny models learn from, and how a batch of them is picked.

A base that knows only one style can't be steered to another. So six of ten training pictures are
Noto's in other palettes (recolour.py) or other hands' (hands.py). A learnt vector for the palette
or hand (Manner) is added to the text. The bundled models lack these vectors, and draw Noto without
them. They never see Twemoji.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Generator, Tensor, nn

from ..pictures import Emoji, bent, open_set
from .hands import HANDS, open_hands
from .learning import DEVICE, HALF
from .recolour import COLOURS, moved, recoloured, take_apart
from .train_vae import encode

# Subcategories whose names everybody knows. They are shown more often.
WELL_KNOWN = {
    "heart", "face-smiling", "face-affection", "face-concerned", "face-negative", "face-costume",
    "cat-face", "animal-mammal", "animal-bird", "animal-marine", "animal-reptile", "animal-bug",
    "plant-flower", "plant-other", "food-fruit", "food-vegetable", "food-prepared", "food-sweet",
    "drink", "transport-ground", "transport-air", "transport-water", "sky & weather", "clothing",
    "sport", "game", "musical-instrument", "tool", "lock", "light & video", "place-building",
    "event",
}  # fmt: skip
PLAIN, COLOURED = 0.4, 0.35  # shares of the training pictures; the rest are other hands'


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Scaled latents of the training pictures of N names.

    plain (N, K, 4, 16, 16): Noto's pictures; the first copy of each is unchanged. coloured
    (N, P, 4, 16, 16): Noto's pictures in other palettes, whose moves are (N, P, COLOURS · 3).
    hands (H, N, K, 4, 16, 16): other hands' pictures; drawn (H, N) says which of them exist.
    """

    plain: Tensor
    coloured: Tensor
    moves: Tensor
    hands: Tensor
    drawn: Tensor


def make_pool(
    vae: AutoencoderKL, noto: Tensor, hands: Tensor, drawn: Tensor, *, copies: int, palettes: int
) -> Pool:
    """Encode all training pictures. noto: (N, 3, 128, 128) uint8; hands, drawn: from open_hands."""
    draw = Generator().manual_seed(3)

    def latents(pictures: Tensor) -> Tensor:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALF):
            return encode(vae, pictures).half()

    def varied(pictures: Tensor, count: int) -> Tensor:
        real = pictures.float() / 255
        found = [latents(real), *(latents(bent(real, draw)) for _ in range(count))]
        return torch.stack(found, dim=1)

    palette, nearest, shares = take_apart(noto)
    coloured, moves = [], []
    for _ in range(palettes):
        colours, move = moved(palette, len(noto), draw)
        coloured.append(latents(bent(recoloured(nearest, shares, colours), draw)))
        moves.append(move)
    return Pool(
        plain=varied(noto, copies),
        coloured=torch.stack(coloured, dim=1),
        moves=torch.stack(moves, dim=1),
        hands=torch.stack([varied(pictures, copies // 4) for pictures in hands]),
        drawn=drawn,
    )


def open_pool(
    kept: Path,
    vae: AutoencoderKL,
    names: list[Emoji],
    google: Path,
    icons: Path,
    *,
    copies: int,
    palettes: int,
) -> Pool:
    """The pool of the file `kept`, made first where there is none: that takes the longest."""
    if not kept.exists():
        noto, other = open_set(names, google, "google"), open_hands(names, icons)
        made = make_pool(vae, noto, *other, copies=copies, palettes=palettes)
        beside = kept.with_suffix(".new")
        torch.save(vars(made), beside)
        beside.replace(kept)
    pool = Pool(**torch.load(kept, weights_only=True))
    print(f"latents: mean {pool.plain.mean():.3f}, spread {pool.plain.float().std():.3f}")
    return pool


class Manner(nn.Module):
    """Who drew a picture, or in which palette, as a vector to add to the text: (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.palette = nn.Linear(COLOURS * 3, width, bias=False)
        self.hand = nn.Embedding(len(HANDS), width)
        nn.init.normal_(self.palette.weight, std=0.03)
        nn.init.normal_(self.hand.weight, std=0.1)

    def forward(self, moves: Tensor, hand: Tensor) -> Tensor:
        """moves (B, COLOURS · 3), hand (B,), as Batch has them; zero for Noto."""
        is_hand = (hand >= 0).float().unsqueeze(1)
        return self.palette(moves) + self.hand(hand.clamp(min=0)) * is_hand


@dataclass(frozen=True, kw_only=True)
class Batch:
    clean: Tensor  # (B, 4, 16, 16), scaled latents
    moves: Tensor  # (B, COLOURS · 3), zero for Noto's own palette
    hand: Tensor  # (B,), which of HANDS drew it, −1 for Noto
    ids: Tensor  # (B, T), the tokens of a caption


class Picker:
    """Picks batches from a pool. One caption in ten is empty, the first is used more often.

    tokens: those of all captions of each name, (captions, T). often: for groups of names that are
    shown more often, the share of all pictures and the names' numbers; the rest are of any name.
    """

    def __init__(
        self,
        pool: Pool,
        tokens: list[Tensor],
        empty: Tensor,
        often: Sequence[tuple[float, Tensor]],
    ) -> None:
        self.pool, self.tokens, self.empty, self.often = pool, tokens, empty, often

    def pick(self, size: int, draw: Generator) -> Batch:
        pool = self.pool

        def below(limit: int) -> Tensor:
            return torch.randint(limit, (size,), generator=draw)

        def chance() -> Tensor:
            return torch.rand(size, generator=draw)

        group, of = chance(), below(len(self.tokens))
        for share, numbers in self.often:
            chosen = numbers[below(len(numbers))]
            of = torch.where((group >= 0) & (group < share), chosen, of)
            group = group - share
        kind, hand = chance(), below(len(pool.hands))
        is_hand = (kind >= PLAIN + COLOURED) & pool.drawn[hand, of]
        is_plain = kind < PLAIN
        copy = below(pool.plain.shape[1]) * (chance() >= 0.4)
        variant = below(pool.hands.shape[2]) * (chance() >= 0.3)
        dye = below(pool.coloured.shape[1])
        as_is, by_hand = is_plain.view(-1, 1, 1, 1), is_hand.view(-1, 1, 1, 1)
        clean = torch.where(by_hand, pool.hands[hand, of, variant], pool.coloured[of, dye])
        clean = torch.where(as_is, pool.plain[of, copy], clean).float()
        is_coloured = (~is_plain & ~is_hand).unsqueeze(1)
        at = chance() * (chance() >= 0.35)
        ids = [self.tokens[n][int(a * len(self.tokens[n]))] for n, a in zip(of, at, strict=True)]
        ids = torch.where(chance().unsqueeze(1) < 0.1, self.empty, torch.stack(ids))
        moves = pool.moves[of, dye] * is_coloured
        return Batch(clean=clean, moves=moves, hand=torch.where(is_hand, hand, -1), ids=ids)
