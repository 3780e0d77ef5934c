"""The tiny DiT's training: its size, what it is asked, and that it goes on where it was stopped."""

import pytest
import torch
from diffusers import Lumina2Transformer2DModel
from diffusers.models.attention_processor import Attention

from demo.flow import velocity
from demo.making import train_dit
from demo.making.learning import learn
from demo.making.pool import Batch
from demo.making.recolour import COLOURS

TOKENS, WIDTH = 24, train_dit.TEXT_WIDTH


class Words(torch.nn.Module):
    """Stands for the text model: a vector for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding.from_pretrained(seeded(5, WIDTH))

    def forward(self, ids):
        return type("Answer", (), {"last_hidden_state": self.words(ids)})


class Four:
    """Stands for the pool: always the same four pictures, with one name each."""

    def pick(self, size, draw):
        return Batch(
            clean=seeded(4, 4, 1, 1).expand(4, 4, 16, 16),
            moves=torch.zeros(4, COLOURS * 3),
            hand=torch.full((4,), -1),
            ids=torch.arange(4).view(4, 1).expand(4, TOKENS),
        )


def seeded(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def new_base(layers: int = 1) -> train_dit.Base:
    """The first of its six layers learns as all of them do, in a fraction of the time."""
    torch.manual_seed(0)
    transformer = train_dit.new_transformer()
    del transformer.layers[layers:]
    return train_dit.Base(transformer)


def lesson(base: train_dit.Base) -> train_dit.Lesson:
    return train_dit.Lesson(base, Words(), Four(), batch=4)


@torch.no_grad()
def mean_loss(ask: train_dit.Lesson) -> float:
    return sum(ask(step).item() for step in range(1000, 1004)) / 4


def shaken(transformer: Lumina2Transformer2DModel) -> Lumina2Transformer2DModel:
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.add_(seeded(*weight.shape) * 0.05)
    return transformer


def test_the_model_is_as_small_as_promised():
    count = sum(weight.numel() for weight in train_dit.new_transformer().parameters())
    assert 3e6 < count < 5e6


def test_it_answers_one_latent_for_each():
    found = velocity(
        shaken(train_dit.new_transformer()),
        seeded(3, 4, 16, 16),
        torch.rand(3),
        seeded(3, TOKENS, WIDTH),
    )
    assert found.shape == (3, 4, 16, 16) and found.abs().min() > 0


def test_training_attends_as_the_class_itself_does():
    transformer = shaken(train_dit.new_transformer())
    asked = seeded(2, 4, 16, 16), torch.tensor([0.2, 0.9]), seeded(2, TOKENS, WIDTH)
    own = velocity(transformer, *asked)
    for module in transformer.modules():
        if isinstance(module, Attention):
            module.set_processor(train_dit.PlainAttention())
    assert (velocity(transformer, *asked) - own).abs().max() < 1e-5 * own.abs().max()


def test_a_new_model_is_wrong_by_the_velocity_itself():
    step, base = 3, new_base()
    draw = torch.Generator().manual_seed(step)
    torch.randn(4, generator=draw)
    target = torch.randn(4, 4, 16, 16, generator=draw) - Four().pick(4, draw).clean
    assert lesson(base)(step).item() == pytest.approx(float(target.square().mean()), rel=1e-5)


def test_the_loss_falls(tmp_path):
    base = new_base()
    ask = lesson(base)
    before = mean_loss(ask)
    learn(base, ask, steps=12, peak=3e-2, decay=2, state=tmp_path / "state.pt")
    assert mean_loss(ask) < 0.8 * before


def test_a_stopped_run_ends_as_if_it_had_not_been(tmp_path):
    whole, first, second = new_base(), new_base(), new_base()
    size = {"peak": 1e-3, "decay": 2, "every": 2}
    learn(whole, lesson(whole), steps=4, state=tmp_path / "whole.pt", **size)

    class Stopped(Exception):
        pass

    ask = lesson(first)

    def stop(step):
        if step == 3:
            raise Stopped
        return ask(step)

    with pytest.raises(Stopped):
        learn(first, stop, steps=4, state=tmp_path / "parts.pt", **size)
    learn(second, lesson(second), steps=4, state=tmp_path / "parts.pt", **size)
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_average_is_what_is_saved(tmp_path):
    base, again, state = new_base(6), new_base(6), tmp_path / "state.pt"
    learn(base, lesson(base), steps=2, peak=1e-3, decay=1, state=state)
    assert train_dit.read_average(state, again) == 2
    for one, other in zip(base.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    train_dit.save_model(again.transformer, tmp_path)
    saved = Lumina2Transformer2DModel.from_pretrained(tmp_path / "transformer")
    assert saved.config["cap_feat_dim"] == WIDTH
    assert sum(file.stat().st_size for file in tmp_path.glob("transformer/*")) < 10e6
