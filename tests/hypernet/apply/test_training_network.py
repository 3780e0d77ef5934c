"""A network in training, at the sites of transformers."""

import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.training_network import TrainingNetwork
from hypernet.families import Site
from hypernet.network.places import Place

WIDTH = 8


def network(groups=1):
    places = (("self", WIDTH), ("cross", WIDTH))
    return Hypernetwork(HypernetSpec(widths=(WIDTH,), places=places, groups=groups))


def site(stream, depth=0, width=WIDTH):
    return Site(f"blocks.{depth}.{stream}", Place(stream, depth, 2), width, "kv")


def counted(net):
    """The names of the pairs, with the side, that are computed."""
    calls = []
    for name, pair in net.pairs.items():
        for side, module in pair.items():
            module.register_forward_pre_hook(
                lambda *_, name=name, side=side: calls.append((name, side))
            )
    return calls


def test_a_site_is_changed_by_the_pair_of_its_stream():
    net = network()
    acting, x = TrainingNetwork(net), torch.randn(1, 3, WIDTH)
    for stream in ("self", "cross"):
        for side, transform in (("k", net.keys), ("v", net.values)):
            expected = transform(x, place=Place(stream, 0, 2))
            assert torch.equal(acting.change(site(stream), side, x), expected)
    assert not torch.equal(*(acting.change(site(stream), "k", x) for stream in ("self", "cross")))


def test_streams_and_widths_that_are_not_held_get_the_very_same_tensor():
    acting, x = TrainingNetwork(network()), torch.randn(1, 3, WIDTH)
    assert acting.change(site("joint"), "k", x) is x
    narrow = x[..., :4]
    assert acting.change(site("self", width=4), "v", narrow) is narrow


def test_a_text_that_all_blocks_read_is_computed_once_and_gathers_their_gradients():
    net, text, picture = network(), torch.randn(1, 3, WIDTH), torch.randn(1, 5, WIDTH)
    gradients = []
    for remember, expected in ((True, 1), (False, 2)):
        calls = counted(net)
        acting = TrainingNetwork(net, remember=remember)
        made = [acting.change(site("cross", depth), "k", text) for depth in (0, 1)]
        assert len(calls) == expected and torch.equal(*made)
        made += [acting.change(site("self", depth), "k", picture) for depth in (0, 1)]
        assert len(calls) == expected + 2  # a picture is another in every block
        net.zero_grad()
        sum(each.square().sum() for each in made).backward()
        gradients.append(
            [weight.grad.clone() for weight in net.parameters() if weight.grad is not None]
        )
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_groups_of_blocks_do_not_share_what_is_remembered():
    acting, text = TrainingNetwork(network(groups=2), remember=True), torch.randn(1, 3, WIDTH)
    first, second = (acting.change(site("cross", depth), "v", text) for depth in (0, 1))
    assert not torch.equal(first, second)
