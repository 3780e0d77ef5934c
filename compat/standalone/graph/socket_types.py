"""The socket types. A type has an input and an output class: `Int.Input`, `Image.Output`.

Stricter than ComfyUI: everything after an input's id (and options) must be passed by keyword. Left
out: Autogrow, MatchType, MultiType, DynamicSlot, and types that no node here has (samplers, sigmas,
noise, guiders, audio, video, 3D).
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar

DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"


class NumberDisplay(str, Enum):
    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(str, Enum):
    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class FolderType(str, Enum):
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


# Attributes that have another name in the editor.
_JSON_NAMES = {
    "raw_link": "rawLink",
    "widget_type": "widgetType",
    "force_input": "forceInput",
    "dynamic_prompts": "dynamicPrompts",
    "display_mode": "display",
}
_NOT_OPTIONS = ("id", "optional", "extra_dict")


@dataclass
class Input:
    """An input of a node. It has the io_type of the type that it is nested in."""

    io_type: ClassVar[str] = ""

    id: str
    _: KW_ONLY
    display_name: str | None = None
    optional: bool = False
    tooltip: str | None = None
    lazy: bool | None = None
    extra_dict: dict | None = None
    raw_link: bool | None = None
    advanced: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """The options that are set, under their names in /object_info."""
        options = {}
        for name in (f.name for f in fields(self) if f.name not in _NOT_OPTIONS):
            value = getattr(self, name)
            if value is not None:
                value = value.value if isinstance(value, Enum) else value
                options[_JSON_NAMES.get(name, name)] = value
        return options | (self.extra_dict or {})

    def get_io_type(self) -> str:
        return self.io_type


@dataclass
class WidgetInput(Input):
    """An input with a widget in the editor, so it can have a value without a link."""

    _: KW_ONLY
    default: Any = None
    socketless: bool | None = None
    widget_type: str | None = None
    force_input: bool | None = None

    def get_io_type(self) -> str:
        return self.widget_type or self.io_type


@dataclass
class Output:
    io_type: ClassVar[str] = ""

    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None
    is_output_list: bool = False

    def __post_init__(self):
        self.display_name = self.display_name or self.id


class ComfyType:
    """A socket type. Every subclass gets Input and Output classes with its io_type."""

    Type: ClassVar[Any] = Any
    io_type: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        for name in ("Input", "Output"):
            if base := getattr(cls, name, None):
                made = type(name, (base,), {"io_type": cls.io_type, "__module__": cls.__module__})
                setattr(cls, name, made)


class ComfyTypeI(ComfyType):
    Input = Input


class ComfyTypeIO(ComfyTypeI):
    Output = Output


def Custom(io_type: str) -> type[ComfyTypeIO]:  # noqa: N802 (ComfyUI's name)
    """A socket type with this name. Types with the same name are compatible."""
    return type(io_type, (ComfyTypeIO,), {"io_type": io_type})


class Boolean(ComfyTypeIO):
    Type = bool
    io_type = "BOOLEAN"

    @dataclass
    class Input(WidgetInput):
        _: KW_ONLY
        label_on: str | None = None
        label_off: str | None = None


class Int(ComfyTypeIO):
    Type = int
    io_type = "INT"

    @dataclass
    class Input(WidgetInput):
        _: KW_ONLY
        min: int | None = None
        max: int | None = None
        step: int | None = None
        control_after_generate: bool | ControlAfterGenerate | None = None
        display_mode: NumberDisplay | None = None


class Float(ComfyTypeIO):
    Type = float
    io_type = "FLOAT"

    @dataclass
    class Input(WidgetInput):
        _: KW_ONLY
        min: float | None = None
        max: float | None = None
        step: float | None = None
        round: float | None = None
        display_mode: NumberDisplay | None = None
        gradient_stops: list[dict] | None = None


class String(ComfyTypeIO):
    Type = str
    io_type = "STRING"

    @dataclass
    class Input(WidgetInput):
        _: KW_ONLY
        multiline: bool = False
        placeholder: str | None = None
        dynamic_prompts: bool | None = None


class Combo(ComfyTypeIO):
    """A choice of one value. options: a list, or an Enum, whose values are used."""

    Type = str
    io_type = "COMBO"

    @dataclass
    class Input(WidgetInput):
        options: list | type[Enum] | None = None
        _: KW_ONLY
        control_after_generate: bool | ControlAfterGenerate | None = None
        upload: UploadType | None = None
        image_folder: FolderType | None = None
        multiselect: ClassVar[bool] = False

        def __post_init__(self):
            if isinstance(self.options, type) and issubclass(self.options, Enum):
                self.options = [member.value for member in self.options]
            if isinstance(self.default, Enum):
                self.default = self.default.value

        def as_dict(self) -> dict[str, Any]:
            options: dict[str, Any] = super().as_dict() | {"multiselect": self.multiselect}
            if upload := options.pop("upload", None):
                options[upload] = True
            return options

    @dataclass
    class Output(Output):
        _: KW_ONLY
        options: list | None = None


class MultiCombo(ComfyTypeI):
    """A choice of several values; the value is a list."""

    Type = list
    io_type = "COMBO"

    @dataclass
    class Input(Combo.Input):
        _: KW_ONLY
        placeholder: str | None = None
        chip: bool | None = None
        multiselect: ClassVar[bool] = True

        def as_dict(self) -> dict[str, Any]:
            options = super().as_dict()
            look = {name: options.pop(name) for name in ("placeholder", "chip") if name in options}
            return options | {"multi_select": look}


class DynamicCombo(ComfyTypeI):
    """A choice whose options have inputs of their own: "opt" and "opt.lr" arrive as one dict.

    {"opt": "adam", "opt.lr": 0.1} in the workflow is opt={"opt": "adam", "lr": 0.1} in execute.
    """

    Type = dict
    io_type = DYNAMIC_COMBO

    @dataclass
    class Option:
        key: str
        inputs: list[Input]

    @dataclass
    class Input(Input):
        options: list[DynamicCombo.Option] = field(default_factory=list)

        def chosen(self, key: Any) -> DynamicCombo.Option | None:
            return next((option for option in self.options if option.key == key), None)

        def as_dict(self) -> dict[str, Any]:
            options = [{"key": o.key, "inputs": input_dict(o.inputs)} for o in self.options]
            return super().as_dict() | {"options": options}


AnyType = Custom("*")
Image = Custom("IMAGE")
Mask = Custom("MASK")
Latent = Custom("LATENT")
Conditioning = Custom("CONDITIONING")
Model = Custom("MODEL")
Clip = Custom("CLIP")
Vae = Custom("VAE")


def input_dict(inputs: list[Input]) -> dict[str, dict]:
    """{"required": {id: (type, options)}, "optional": {...}}, as in /object_info."""
    described: dict[str, dict] = {"required": {}}
    for each in inputs:
        group = described.setdefault("optional" if each.optional else "required", {})
        group[each.id] = (each.get_io_type(), each.as_dict())
    return described
