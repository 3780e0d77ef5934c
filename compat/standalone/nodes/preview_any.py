"""The ComfyUI core node that shows any value as text, with its id, input and output."""

from __future__ import annotations

import json
from typing import Any

from ..graph import io


class PreviewAny(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PreviewAny",
            display_name="Preview as Text",
            category="utilities",
            description="Shows any value as text.",
            inputs=[io.AnyType.Input("source", tooltip="What to show.")],
            outputs=[io.String.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, source: Any) -> io.NodeOutput:  # Any: every type of socket fits
        text = as_text(source)
        return io.NodeOutput(text, ui={"text": (text,)})


def as_text(value: object) -> str:
    """Lists and dicts as JSON, all else as Python prints it."""
    if value is None or isinstance(value, str | int | float):
        return str(value)
    try:
        return json.dumps(value, indent=4, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)
