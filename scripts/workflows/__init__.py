"""Writes the example workflows and the blueprint in the editor's format, from a few lines each.

    python -m scripts.workflows

Widget values and slots come from the nodes' schemas, so when a node gains an input, the examples
are written again instead of edited. `python -m scripts.thumbnails` makes the pictures beside them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypernet_pack import comfy_entrypoint
from hypernet_pack.compat.standalone.graph.object_info import describe
from hypernet_pack.compat.standalone.nodes.core import CORE_NODES

from . import applying, blueprint, training
from .descriptions import OTHERS
from .drawing import Drawing

HERE = Path(__file__).parents[2] / "example_workflows"

EXAMPLES = (
    training.first_network_demo,
    training.own_pictures_on_demo_model,
    training.train_style,
    training.train_subject_with_tagger,
    training.train_on_anima,
    training.train_on_z_image,
    training.train_on_flux,
    training.resume,
    applying.compare_checkpoints,
    applying.apply,
    applying.apply_with_lora_and_controlnet,
    applying.fold_and_export,
)


def main() -> None:
    pack = asyncio.run(comfy_entrypoint())
    nodes = [*CORE_NODES, *asyncio.run(pack.get_node_list())]
    descriptions = {description["name"]: description for description in map(describe, nodes)}
    HERE.mkdir(exist_ok=True)
    for draw in EXAMPLES:
        drawing = Drawing(descriptions | OTHERS)
        draw(drawing)
        drawing.save(HERE / f"{draw.__name__}.json")
    whole = blueprint.train_a_hypernetwork(Drawing(descriptions))
    blueprint.write(whole, HERE.parent / "subgraphs")
