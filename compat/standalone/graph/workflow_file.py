"""Reads the JSON of a workflow file, as editors, shells and ComfyUI save it.

It is in a text file, in any encoding that Windows writes, or in a picture that ComfyUI saved: PNG
has it in text chunks, WebP in the EXIF block as "workflow:{…}". If the user picked another kind of
file, the error names that kind, because "not a workflow" would not help.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypernet.captions.sources import decode

PICTURES = (b"\x89PNG", b"RIFF", b"\xff\xd8\xff", b"GIF8", b"BM")
SAVE_AGAIN = "Save it in ComfyUI with Save or Export (API)."
_NO_TEXT = "it is no text, but perhaps an archive, a video or a model."
_SHOWN = 60  # letters of the user's text in an error
_SPARE_COMMA = re.compile(r",\s*[\]},]")
_NOTHING = ("", "null", "{}", "[]", "undefined")
_MADE_BY = re.compile(r"\s*(workflow|prompt)\s*:\s*(?=[{\[])", re.IGNORECASE)


class WorkflowError(ValueError):
    """The workflow file, or a --set, is not what it should be. The message is for the user."""


@dataclass(frozen=True)
class Content:
    """The parsed JSON, and notices about what had to be guessed."""

    json: Any
    notices: tuple[str, ...] = ()


def read_content(path: str | Path) -> Content:
    """The JSON in the file, or a picture's workflow or else its prompt. Raises WorkflowError."""
    try:
        written = Path(path).read_bytes()
    except OSError as error:
        raise WorkflowError(f'workflow "{path}" cannot be read: {error.strerror}.') from error
    except ValueError as error:  # a name with a null character
        raise WorkflowError(f'workflow "{path}" cannot be read: {error}.') from error
    if written.startswith(PICTURES):
        return Content(_of_picture(path))
    what = f'workflow "{path}"'
    if not written.strip():
        raise WorkflowError(f"{what} is not JSON: the file is empty. {SAVE_AGAIN}")
    encoding = json.detect_encoding(written)  # UTF-8, 16 or 32, by the zeros in the first bytes
    try:
        text = written.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return _of_old_letters(written, what)
    if "\0" in text or ("utf-8" not in encoding and not text.lstrip()[:1].isascii()):
        raise WorkflowError(f"{what} is not JSON: {_NO_TEXT} {SAVE_AGAIN}")
    return Content(_parsed(text, what))


def _of_old_letters(written: bytes, what: str) -> Content:
    """JSON in a national encoding, which can only be guessed."""
    if b"\0" in written:
        raise WorkflowError(f"{what} is not JSON: {_NO_TEXT} {SAVE_AGAIN}")
    text = decode(written) or written.decode("cp1252", "replace")
    content = _parsed(text, what)
    letters = "".join(dict.fromkeys(re.findall(r"[^\x00-\x7f]", text)))[:20]
    return Content(
        content,
        (
            f'{what} is not in UTF-8. Its letters beyond ASCII were read as "{letters}". '
            "If that is wrong, save it as UTF-8.",
        ),
    )


def _parsed(text: str, what: str) -> Any:
    try:
        # NaN and Infinity are null for the editor too
        return json.loads(text, parse_constant=lambda word: None)
    except json.JSONDecodeError as error:
        raise WorkflowError(f"{what} is not JSON: {_fault(text, error)}") from error
    except RecursionError as error:
        raise WorkflowError(f"{what} is not JSON: its brackets nest too deep.") from error
    except ValueError as error:  # a number of more digits than Python reads
        raise WorkflowError(f"{what} is not JSON: {error}.") from error


def _fault(text: str, error: json.JSONDecodeError) -> str:
    """What breaks the rules of JSON, where, and what to do."""
    if text.lstrip()[:1] == "<":
        return "it is a web page (HTML or XML). Download the file itself, not the page about it."
    after = text[error.pos :].lstrip()
    if not after:
        return f"it ends in the middle of the text, so it was not saved whole. {SAVE_AGAIN}"
    if comma := _SPARE_COMMA.search(text, max(0, len(text[: error.pos].rstrip()) - 1)):
        if comma.start() <= error.pos:  # Python up to 3.12 stops after the comma, 3.13 at it
            return f"{_place(text, comma.start())}: a comma too many. Take it out."
    place, line = _place(text, error.pos), after.splitlines()[0][:_SHOWN]
    if after.startswith(("//", "/*", "#")):
        return f'{place}: JSON has no comments. Take out "{line}".'
    if after[0] in "'‘’“”":
        return f'{place}: {after[0]} stands where " belongs.'
    return f'{error.msg} at {place}: "{line}". {SAVE_AGAIN}'


def _place(text: str, position: int) -> str:
    before = text[:position]
    return f"line {before.count(chr(10)) + 1}, column {position - before.rfind(chr(10))}"


def _of_picture(path: str | Path) -> Any:
    """The workflow that ComfyUI saved in a picture."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()  # PNG may keep text behind the pixels
            texts = {str(name).lower(): each for name, each in picture.info.items()}
            texts |= _of_exif(picture.getexif())
    except Exception as error:  # Pillow raises a dozen kinds for broken files
        raise WorkflowError(f'picture "{path}" cannot be read: {error}.') from error
    for name in ("workflow", "prompt"):  # in the order in which the editor takes them
        text = texts.get(name)
        text = decode(text) if isinstance(text, bytes) else text
        if isinstance(text, str) and text.strip() not in _NOTHING:
            return _parsed(text, f'the {name} in picture "{path}"')
    if "parameters" in texts:
        raise WorkflowError(
            f'picture "{path}" holds A1111\'s settings, which are no workflow. '
            "Drop it onto ComfyUI's editor, which makes a workflow of them, and save that."
        )
    raise WorkflowError(
        f'picture "{path}" holds no workflow. ComfyUI writes one into PNG and WebP files; '
        "editing or uploading a picture takes it out."
    )


def _of_exif(exif: Mapping[int, Any]) -> dict[str, str]:
    """{"workflow", "prompt"} from WebP, where ComfyUI writes them as "name:{…}" into EXIF tags."""
    found = {}
    for value in exif.values():
        text = decode(value) if isinstance(value, bytes) else value
        if isinstance(text, str) and (name := _MADE_BY.match(text)):
            found[name[1].lower()] = text[name.end() :].rstrip("\0")
    return found


def described(content: Any) -> str:
    """What the JSON is if it is no workflow, as the end of a sentence."""
    if isinstance(content, list):
        return f"it is a list of {len(content)} entries"
    if not isinstance(content, dict):
        return f"it holds only {_quoted(content)}"
    if not content:
        return "it is empty: {}"
    if "error" in content or "node_errors" in content:
        return f"it is an error that an API sent: {_quoted(_message(content))}"
    for keys, what in _KNOWN:
        if all(any(re.fullmatch(key, name) for name in content) for key in keys):
            return f"it is {what}"
    names = ", ".join(f'"{name}"' for name in list(content)[:5])
    return f"it has {names}{' …' if len(content) > 5 else ''}, and no nodes"


def _message(content: Mapping[str, Any]) -> Any:
    error = content.get("error") or content.get("node_errors")
    if isinstance(error, dict):
        return error.get("message") or error.get("type") or error
    return error


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'"{text[:_SHOWN]}…"' if len(text) > _SHOWN else f'"{text}"'


# Files that people pick by mistake: patterns of their keys, and what they are.
_KNOWN = (
    (("sd_model_checkpoint",), "A1111's settings file (config.json)"),
    ((r"(txt2img|img2img)/.*",), "A1111's ui-config.json"),
    (("prompt", "steps|sampler_name|cfg_scale"), "a request to A1111's API"),
    (("images", "parameters|info"), "an answer of A1111's API"),
    ((r"Comfy\..*",), "the settings file of ComfyUI's editor (comfy.settings.json)"),
    (("_class_name|_diffusers_version",), "the description of a diffusers model"),
    (("architectures|model_type",), "the description of a transformers model"),
    (("__metadata__",), "the header of a .safetensors file"),
    (("queue_running",), "ComfyUI's queue"),
    (("prompt_id",), "ComfyUI's answer to a prompt that was queued"),
    (("outputs", "status"), "an entry of ComfyUI's history"),
    (("ss_.*",), "the metadata of a network that kohya's scripts trained"),
    (("version", "ui_.*|groupNodes|templates"), "a settings file"),
)
