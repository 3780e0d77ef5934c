"""The tiny model's training goes on where it was stopped."""

import pytest
import torch

from demo.making.learning import learn, trapezoid

STEPS = 12


class Stopped(Exception):
    pass


def learnt(state, stop_at: int | None = None) -> torch.nn.Linear:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)

    def loss(step: int) -> torch.Tensor:
        if step == stop_at:
            raise Stopped
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return (net(x) - x[:, :2]).square().mean()

    learn(net, loss, steps=STEPS, peak=0.1, state=state, every=4)
    return net


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path):
    whole = learnt(tmp_path / "whole.pt")
    with pytest.raises(Stopped):
        learnt(tmp_path / "parts.pt", stop_at=10)
    assert torch.load(tmp_path / "parts.pt", weights_only=True)["step"] == 8
    again = learnt(tmp_path / "parts.pt")
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("step", "steps", "share"),
    [(0, 1000, 1 / 300), (149, 1000, 0.5), (299, 1000, 1), (800, 1000, 1), (999, 1000, 1 / 200)],
)
def test_the_rate_stays_at_its_peak_until_the_end_comes_near(step, steps, share):
    assert trapezoid(step, steps, 0.2, decay=200) == pytest.approx(0.2 * share)
    assert trapezoid(step, 9 * steps, 0.2, decay=200) == pytest.approx(
        0.2 * min(1, (step + 1) / 300)
    )
