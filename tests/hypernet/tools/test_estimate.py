"""What a network will take, for the models that are known: foretold, and said in docs/models.md."""

from pathlib import Path

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, Record, save_network
from hypernet.disk_space import as_size
from hypernet.network.spec import listed
from hypernet.tools.estimate import estimate, way_onto
from hypernet.tools.known_models import KNOWN

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("settings", [{}, {"groups": 3}, {"layer_norm": True}, {"bias": False}])
def test_the_file_of_a_network_with_places_is_as_large_as_foretold(tmp_path, settings):
    places = (("image", 96), ("text", 96), ("joint", 64))
    spec = HypernetSpec(places=places, layer_structure=(1, 2, 1), **settings)
    network = Hypernetwork(spec, Record(architecture="flux"))
    found = estimate(spec)
    for kind, dtype in (("file", torch.float32), ("file_float16", torch.float16)):
        path = save_network(network, tmp_path / f"{kind}.safetensors", dtype=dtype)
        assert path.stat().st_size == pytest.approx(found[kind], rel=0.05)
    assert found["parameters"] == sum(weight.numel() for weight in network.parameters())


def test_a_network_that_computes_in_bfloat16_takes_half_while_generating():
    spec = KNOWN["anima"].spec
    assert spec.arithmetic == "bfloat16"
    assert estimate(spec)["generating"] == 2 * spec.parameters


@pytest.mark.parametrize(
    ("name", "structure", "mebibytes"),
    [  # as computed by hand: 2 · 2 · f · C² numbers of 4 bytes for each place
        ("flux", (1, 2, 1), 3 * 288),
        ("flux", (1, 0.25, 1), 3 * 36),
        ("anima", (1, 1, 1), 80),
        ("qwen-image", (1, 0.5, 1), 2 * 72),
        ("z-image", (1, 0.125, 1), 28),  # without refiners
        ("flux2-dev", (1, 0.125, 1), 3 * 72),
    ],
)
def test_sizes_of_files_are_those_of_the_formula(name, structure, mebibytes):
    found = estimate(KNOWN[name].network(structure))["file"] / 2**20
    assert found == pytest.approx(mebibytes, rel=0.01)


def test_places_and_groups_decide_the_size():
    one = KNOWN["flux"].network((1, 0.25, 1), ("joint",)).parameters
    assert KNOWN["flux"].spec.parameters == 3 * one
    assert KNOWN["flux"].network((1, 0.25, 1), ("joint",), 4).parameters == 4 * one
    with pytest.raises(ValueError, match='"cross" are not in this model'):
        KNOWN["flux"].network((1, 1), ("cross",))


def test_weights_that_do_not_fit_as_a_whole_come_in_parts():
    flux = KNOWN["flux"]
    assert [way_onto(card, flux) for card in (48, 24, 12)] == ["bfloat16", "8 bits", "in parts"]
    assert way_onto(24, KNOWN["qwen-image"]) == "8 bits", "20 billion parameters on 24 GiB"


@pytest.mark.parametrize("page", ["models.md", "models.zh.md"])
def test_the_page_about_models_has_the_numbers_that_are_computed(page):
    lines = (DOCS / page).read_text("utf-8").splitlines()
    named = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    rows = {name: line for name, line in named.items() if name in KNOWN}
    assert list(rows) == list(KNOWN)
    for name, model in KNOWN.items():
        spec, found = model.spec, estimate(model.spec)
        places = [f"{stream} {width}" for stream, width in spec.places]
        cells = [
            f"`{name}`",
            f"{model.parameters:g}",
            f"{as_size(model.weights(16))} · {as_size(model.weights(8))}",
            ", ".join(places) or listed(spec.widths),
            listed(spec.layer_structure),
            f"{as_size(found['file'])} · {as_size(found['file_float16'])}",
            as_size(found["training"]),
            way_onto(24, model),
            way_onto(12, model),
        ]
        assert rows[name] == f"| {' | '.join(cells)} |"
