"""What a node is: a ComfyNode declares its Schema and works in classmethods.

execute returns a NodeOutput. A node keeps no state: each call runs on a locked clone of its class.
Left out: price badges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .socket_types import Input, Output


class Hidden(str, Enum):
    """The values that a node can request in `cls.hidden`."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"


@dataclass
class Schema:
    """The description of a node: ids, inputs, outputs, and how the host treats it."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    price_badge: Any = None
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False

    def finalize(self) -> None:
        """Give output nodes the prompt as a hidden value, and every output an id."""
        if self.is_output_node:
            wanted = (Hidden.prompt, Hidden.extra_pnginfo)
            self.hidden = [*self.hidden, *(name for name in wanted if name not in self.hidden)]
        for slot, output in enumerate(self.outputs):
            output.id = output.id or f"_{slot}_{output.io_type}_"

    def validate(self) -> None:
        """Raises ValueError if two inputs or two outputs have the same id."""
        for kind, sockets in (("input", self.inputs), ("output", self.outputs)):
            ids = [socket.id for socket in sockets if socket.id is not None]
            if twice := sorted({name for name in ids if ids.count(name) > 1}):
                raise ValueError(f"{self.node_id}: {kind} ids {twice} are used more than once.")


class ExecutionBlocker:
    """An output value that keeps the nodes after it from running. A message makes it an error."""

    def __init__(self, message: str | None = None):
        self.message = message


class NodeOutput:
    """The return value of execute: values for the outputs, and what the editor displays."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: dict | None = None,
        block_execution: str | None = None,
    ):
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple | None:
        return self.args or None

    def __getitem__(self, slot: int) -> Any:
        return self.args[slot]


class HiddenHolder:
    """`cls.hidden`: the values that the schema requests; everything else is None."""

    def __init__(self, values: dict[str, Any] | None = None):
        self.__dict__.update(values or {})

    def __getattr__(self, name: str) -> None:
        return None


class _NodeClass(type):
    """Lets a class be locked, so that no run can store anything on it."""

    def __setattr__(cls, name: str, value: Any) -> None:
        if cls.__dict__.get("_locked"):
            raise AttributeError(
                f'"{name}" cannot be set on {cls.__name__}: nodes keep no state. '
                "Hand it out as an output or write it to disk."
            )
        super().__setattr__(name, value)


class ComfyNode(metaclass=_NodeClass):
    """The base of all nodes. The host makes a locked clone of the class for each call."""

    hidden: HiddenHolder = HiddenHolder()

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError(f"{cls.__name__} has no define_schema.")

    @classmethod
    def execute(cls, **kwargs: Any) -> NodeOutput:
        raise NotImplementedError(f"{cls.__name__} has no execute.")

    @classmethod
    def validate_inputs(cls, **kwargs: Any) -> bool | str:
        raise NotImplementedError

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def check_lazy_status(cls, **kwargs: Any) -> list[str]:
        return [name for name, value in kwargs.items() if value is None]

    @classmethod
    def GET_SCHEMA(cls) -> Schema:  # noqa: N802
        """The finished schema, made at each call because combo options may have changed on disk."""
        schema = cls.define_schema()
        schema.finalize()
        schema.validate()
        return schema

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:  # noqa: N802
        from .object_info import describe

        return describe(cls)


def overrides(node: type[ComfyNode], name: str) -> bool:
    """Does the node override this method?"""
    return getattr(node, name).__func__ is not getattr(ComfyNode, name).__func__


def locked_clone(node: type[ComfyNode], hidden: dict[str, Any]) -> type[ComfyNode]:
    """A clone of the class for one call: with its hidden values, and unchangeable."""
    space = {"hidden": HiddenHolder(hidden), "_locked": True, "__module__": node.__module__}
    return _NodeClass(node.__name__, (node,), space)
