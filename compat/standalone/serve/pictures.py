"""The editor's pictures: viewing them, uploading pictures and masks."""

from __future__ import annotations

import asyncio
import os
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from hypernet.atomic_files import write_whole

from .. import folders
from .bodies import TEXT, check_object, parse
from .frontend import send_file, text_of

routes = web.RouteTableDef()

PLACES = {
    "input": folders.input_folder,
    "output": folders.output_folder,
    "temp": folders.temp_folder,
}
FORMATS = {"webp": "WEBP", "jpeg": "JPEG"}


def place_of(name: str) -> Path:
    if name not in PLACES:
        raise ValueError(f'"{name}" is not one of {", ".join(PLACES)}.')
    return PLACES[name]()


@routes.get("/view")
async def view(request: web.Request) -> web.StreamResponse:
    asked = request.query
    name, kind = asked.get("filename", ""), asked.get("type", "output")
    for place in PLACES:
        if name.endswith(f" [{place}]"):
            name, kind = name.removesuffix(f" [{place}]"), place
    path = folders.within(place_of(kind), f"{asked.get('subfolder', '')}/{name}".lstrip("/"))
    channel = asked.get("channel", "rgba")
    if "preview" not in asked and channel not in ("rgb", "a"):
        return send_file(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no picture "{name}".')
    picture, kind = await asyncio.to_thread(_converted, path, channel, asked.get("preview"))
    return web.Response(body=picture, content_type=f"image/{kind}")


def _converted(path: Path, channel: str, preview: str | None) -> tuple[bytes, str]:
    """The picture in a format such as "webp;90", or as PNG of only its colours or its opacity."""
    kind, _, quality = (preview or "png").partition(";")
    file = BytesIO()
    with Image.open(path) as picture:
        if channel == "rgb" or kind == "jpeg":
            picture = picture.convert("RGB")
        elif channel == "a":
            opacity = picture.convert("RGBA").getchannel("A")
            picture = Image.new("RGBA", picture.size)
            picture.putalpha(opacity)
        if preview is None:
            picture.save(file, "PNG", compress_level=1)
            return file.getvalue(), "png"
        kind = kind if kind in FORMATS else "webp"
        picture.save(file, FORMATS[kind], quality=int(quality) if quality.isdigit() else 90)
    return file.getvalue(), kind


@routes.post("/upload/image")
async def upload_image(request: web.Request) -> web.Response:
    form = await request.post()
    return web.json_response(await asyncio.to_thread(_take_in, form, _uploaded(form)))


@routes.post("/upload/mask")
async def upload_mask(request: web.Request) -> web.Response:
    """Save an existing picture with the opacity of the uploaded one."""
    form = await request.post()
    given = parse(text_of(form, "original_ref") or "{}", "original_ref")
    where = check_object(
        given, dict.fromkeys(("type", "subfolder", "filename"), TEXT), request.path
    )
    folder = place_of(where.get("type") or "output")
    name = f"{where.get('subfolder') or ''}/{where.get('filename') or ''}".lstrip("/")
    path = folders.within(folder, name)

    def masked() -> bytes:
        file = BytesIO()
        with Image.open(path) as original, Image.open(BytesIO(_uploaded(form))) as mask:
            picture = original.convert("RGBA")
            picture.putalpha(mask.convert("RGBA").getchannel("A"))
            picture.save(file, "PNG", compress_level=4)
        return file.getvalue()

    return web.json_response(await asyncio.to_thread(lambda: _take_in(form, masked())))


def _uploaded(form: Any) -> bytes:
    if not hasattr(form.get("image"), "file"):
        raise ValueError('the upload has no file called "image".')
    return form["image"].file.read()


def _take_in(form: Any, content: bytes) -> dict[str, str]:
    """Write an uploaded file into the input folder. The same content is not written twice."""
    kind, subfolder = text_of(form, "type") or "input", text_of(form, "subfolder")
    if kind != "input":
        raise ValueError(f'uploads go into the input folder, not into "{kind}".')
    name = Path(form["image"].filename.replace("\\", "/")).name
    if not name.strip("."):
        raise ValueError("the upload has no file name.")
    folder = folders.within(folders.input_folder(), subfolder)
    path, number = folders.within(folder, name), 0
    if form.get("overwrite") not in ("true", "1"):
        while path.exists() and path.read_bytes() != content:
            number += 1
            path = path.with_name(f"{Path(name).stem} ({number}){Path(name).suffix}")
    # resolved, so that a link's target is written and the link stays
    write_whole(path.resolve(), lambda file: file.write(content))
    return {"name": path.name, "subfolder": subfolder, "type": "input"}


@routes.get("/internal/files/{place}")
async def list_files(request: web.Request) -> web.Response:
    place = request.match_info["place"]
    folder = place_of(place)
    entries = [e for e in os.scandir(folder) if e.is_file()] if folder.is_dir() else []
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    entries.sort(key=lambda entry: -entry.stat().st_mtime)
    return web.json_response([f"{entry.name} [{place}]" for entry in entries])
