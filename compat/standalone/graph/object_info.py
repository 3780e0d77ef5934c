"""Describes a node from its schema, in the format of ComfyUI's /object_info."""

from __future__ import annotations

from typing import Any

from .node_class import ComfyNode
from .socket_types import input_dict


def describe(node: type[ComfyNode]) -> dict[str, Any]:
    schema = node.GET_SCHEMA()
    inputs = input_dict(schema.inputs)
    if schema.hidden:
        inputs["hidden"] = {each.name: (each.value,) for each in schema.hidden}
    outputs = schema.outputs
    return {
        "input": inputs,
        "input_order": {group: list(members) for group, members in inputs.items()},
        "is_input_list": schema.is_input_list,
        "output": [output.io_type for output in outputs],
        "output_is_list": [output.is_output_list for output in outputs],
        "output_name": [output.display_name or output.io_type for output in outputs],
        "output_tooltips": [output.tooltip for output in outputs],
        "output_matchtypes": None,
        "name": schema.node_id,
        "display_name": schema.display_name,
        "description": schema.description,
        "python_module": getattr(node, "RELATIVE_PYTHON_MODULE", None),
        "category": schema.category,
        "output_node": schema.is_output_node,
        "has_intermediate_output": schema.has_intermediate_output,
        "deprecated": schema.is_deprecated,
        "experimental": schema.is_experimental,
        "dev_only": schema.is_dev_only,
        "api_node": schema.is_api_node,
        "price_badge": schema.price_badge,
        "search_aliases": schema.search_aliases or None,
        "essentials_category": schema.essentials_category,
    }
