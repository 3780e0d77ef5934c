"""Serves the editor's own files and the user's workflows and settings.

The editor's pages come from `comfyui-frontend-package`, which is ComfyUI's web editor. Workflows
and settings are in the user folder, laid out as in ComfyUI. Every name is checked to be inside its
folder, and files that a browser would run are sent as downloads.
"""

from __future__ import annotations

import importlib.util
import json
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from hypernet.atomic_files import write_whole
from hypernet.text.links import files_below, walk

from .. import folders
from .bodies import read_json, read_object
from .gate import is_active

PACK = "hypernet"
FRONTEND = "comfyui_frontend_package"
ROOT = Path(__file__).parents[3]
WEB, LOCALES = ROOT / "web", ROOT / "locales"
EXAMPLES, BLUEPRINTS = ROOT / "example_workflows", ROOT / "subgraphs"
SETTINGS = "comfy.settings.json"
FIRST_TEMPLATE = "first_network_demo"
# Defaults until the user changes them. Release news of ComfyUI would be fetched from the internet;
# prompts in letters of 10 pixels can't be read where a template is shown at three quarters.
USUAL_SETTINGS = {
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.TextareaWidget.FontSize": 12,
}

routes = web.RouteTableDef()


def frontend_folder(given: str | Path | None = None) -> Path:
    """The folder of the editor's files. Raises FileNotFoundError if there is none."""
    if given:
        folder, help = Path(given), "Give the folder that holds the editor's index.html."
    else:
        spec = importlib.util.find_spec(FRONTEND)
        folder = Path(spec.origin).parent / "static" if spec and spec.origin else Path(FRONTEND)
        help = 'Install the graph editor with pip install "hypernet[editor]".'
    if not (folder / "index.html").is_file():
        raise FileNotFoundError(f'there is no editor in "{folder}". {help}')
    return folder.resolve()


def send_file(path: Path, *, download: bool = False) -> web.FileResponse:
    """The file, as a download if a browser would run it.

    Raises FileNotFoundError if it doesn't exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there is no file "{path.name}".')
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    if is_active(kind):
        kind, download = "application/octet-stream", True
    way = "attachment" if download else "inline"
    headers["Content-Disposition"] = f"{way}; filename*=UTF-8''{quote(path.name)}"
    return web.FileResponse(path, headers=headers | {"Content-Type": kind})


def send_page(path: Path) -> web.FileResponse:
    """A file of the editor or the pack, which browsers may run and must not cache."""
    if not path.is_file():
        raise FileNotFoundError(f'there is no file "{path.name}".')
    return web.FileResponse(path, headers={"Cache-Control": "no-cache"})


# The pack's own files


def extensions(frontend: Path) -> list[str]:
    """All scripts that the editor loads at its start: its own and ours."""
    theirs = [f"/{path.relative_to(frontend).as_posix()}" for path in _scripts(frontend)]
    ours = [
        f"/extensions/{PACK}/{quote(path.relative_to(WEB).as_posix())}"
        for path in sorted(WEB.rglob("*.js"))
    ]
    return theirs + ours


def _scripts(frontend: Path) -> list[Path]:
    return sorted((frontend / "extensions").rglob("*.js"))


def translations(top: Path = LOCALES) -> dict[str, dict]:
    """Our translations by language, as the editor takes them: main.json, with each other file under
    its name."""
    found = {}
    for folder in sorted(top.glob("*/")):
        words = _read_json(folder / "main.json", {})
        for part in ("nodeDefs", "commands", "settings"):
            if more := _read_json(folder / f"{part}.json", {}):
                words[part] = more
        found[folder.name] = words
    return found


@routes.get("/extensions/hypernet/{path:.+}")
async def get_extension(request: web.Request) -> web.StreamResponse:
    return send_page(folders.within(WEB, request.match_info["path"]))


@routes.get("/i18n")
async def get_translations(request: web.Request) -> web.Response:
    return web.json_response(translations())


@routes.get("/workflow_templates")
async def list_templates(request: web.Request) -> web.Response:
    return web.json_response({})  # ours are in the index below, with their titles and an order


@routes.get("/workflow_templates/hypernet/{path:.+}")
async def get_template(request: web.Request) -> web.StreamResponse:
    return send_page(folders.within(EXAMPLES, request.match_info["path"]))


@routes.get("/templates/{index:index.*}.json")
async def get_template_index(request: web.Request) -> web.Response:
    """Our templates, as ComfyUI lists its own collection, which is not here."""
    _, _, language = request.match_info["index"].partition(".")
    return web.json_response(template_index(language))


def template_index(language: str) -> list[dict[str, Any]]:
    """The templates that the editor lists: titles and sentences in this language or in English.

    The editor fetches them from /workflow_templates because of the name of their module.
    """
    english, words = (_read_json(LOCALES / each / "templates.json", {}) for each in ("en", "zh"))
    if not language.startswith("zh"):
        words = english
    kind = {"mediaType": "image", "mediaSubtype": "jpg"}
    templates = [{"name": name, **said, **words[name], **kind} for name, said in english.items()]
    ours = {"moduleName": PACK, "title": "Hypernet", "type": "image", "isEssential": True}
    return [ours | {"templates": templates}]


@routes.get("/docs/{path:.+}")
async def get_help(request: web.Request) -> web.StreamResponse:
    """Help on core nodes, if ComfyUI's package for it is installed."""
    spec = importlib.util.find_spec("comfyui_embedded_docs")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "help on core's nodes comes with pip install comfyui-embedded-docs."
        )
    return send_page(folders.within(Path(spec.origin).parent / "docs", request.match_info["path"]))


# Uploads


def text_of(form: Any, name: str) -> str:
    value = form.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f'"{name}" of the upload is a file; give a text.')
    return value


# The user's files


def own_folder() -> Path:
    return folders.user_folder() / "default"


def _read_json(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else otherwise


def _settings() -> dict[str, Any]:
    return USUAL_SETTINGS | _read_json(own_folder() / SETTINGS, {})


def _change_settings(changes: dict[str, Any]) -> None:
    text = json.dumps(_settings() | changes, indent=4)
    write_whole(own_folder() / SETTINGS, lambda file: file.write(text.encode()))


@routes.get("/users")
async def get_users(request: web.Request) -> web.Response:
    return web.json_response({"storage": "server", "migrated": True})


@routes.get("/settings")
async def get_settings(request: web.Request) -> web.Response:
    return web.json_response(_settings())


@routes.get("/settings/{id}")
async def get_setting(request: web.Request) -> web.Response:
    return web.json_response(_settings().get(request.match_info["id"]))


@routes.post("/settings")
async def post_settings(request: web.Request) -> web.Response:
    _change_settings(await read_object(request))
    return web.Response()


@routes.post("/settings/{id}")
async def post_setting(request: web.Request) -> web.Response:
    _change_settings({request.match_info["id"]: await read_json(request)})
    return web.Response()


def _files_below(folder: Path, deep: bool) -> Iterator[Path]:
    found = (folder / name for name in files_below(folder)) if deep else sorted(folder.glob("*"))
    yield from (path for path in found if path.is_file() and not path.name.startswith("."))


def _about(path: Path, folder: Path) -> dict[str, Any]:
    known = path.stat()
    return {
        "path": path.relative_to(folder).as_posix(),
        "size": known.st_size,
        "modified": int(known.st_mtime * 1000),
        "created": int(known.st_ctime * 1000),
    }


def _says_yes(request: web.Request, name: str, otherwise: str = "false") -> bool:
    return request.query.get(name, otherwise).lower() == "true"


@routes.get("/userdata")
async def list_userdata(request: web.Request) -> web.Response:
    if not request.query.get("dir"):
        raise ValueError("say which dir to list.")
    folder = folders.within(own_folder(), request.query["dir"])
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder "{request.query["dir"]}".')
    paths = _files_below(folder, _says_yes(request, "recurse"))
    if _says_yes(request, "full_info"):
        return web.json_response([_about(path, folder) for path in paths])
    names = [path.relative_to(folder).as_posix() for path in paths]
    if _says_yes(request, "split"):
        return web.json_response([[name, *name.split("/")] for name in names])
    return web.json_response(names)


@routes.get("/v2/userdata")
async def list_userdata_with_folders(request: web.Request) -> web.Response:
    top = own_folder()
    folder = folders.within(top, request.query.get("path", ""))
    if not folder.is_dir():
        if folder == top:
            return web.json_response([])
        raise FileNotFoundError(f'there is no folder "{request.query["path"]}".')
    entries = []
    below = [folder / visit.inside(name) for visit in walk(folder) for name in visit.names]
    for path in sorted(below, key=lambda path: (path.is_file(), path.name.lower())):
        entry = {"name": path.name, "path": path.relative_to(top).as_posix()}
        if path.is_dir():
            entries.append(entry | {"type": "directory"})
        else:
            known = path.stat()
            entries.append(
                entry | {"type": "file", "size": known.st_size, "modified": known.st_mtime}
            )
    return web.json_response(entries)


@routes.get("/userdata/{file}")
async def get_userdata(request: web.Request) -> web.StreamResponse:
    path = folders.within(own_folder(), request.match_info["file"])
    if path == own_folder() / "user.css":  # the user's own style for the editor
        return send_page(path)
    return send_file(path, download=True)


@routes.post("/userdata/{file}")
async def post_userdata(request: web.Request) -> web.Response:
    path = folders.within(own_folder(), request.match_info["file"])
    content = await request.read()
    file = path.resolve()  # write to a link's target, not over the link
    return _put_userdata(request, path, lambda: write_whole(file, lambda f: f.write(content)))


@routes.post("/userdata/{file}/move/{to}")
async def move_userdata(request: web.Request) -> web.Response:
    source = folders.within(own_folder(), request.match_info["file"])
    path = folders.within(own_folder(), request.match_info["to"])
    if not source.is_file():
        raise FileNotFoundError(f'there is no file "{request.match_info["file"]}".')

    def move() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, path)

    return _put_userdata(request, path, move)


def _put_userdata(request: web.Request, path: Path, put: Any) -> web.Response:
    if not _says_yes(request, "overwrite", "true") and path.exists():
        return web.json_response({"error": f'there is a file "{path.name}".'}, status=409)
    put()
    about = _about(path, own_folder())
    return web.json_response(about if _says_yes(request, "full_info") else about["path"])


@routes.delete("/userdata/{file}")
async def delete_userdata(request: web.Request) -> web.Response:
    folders.within(own_folder(), request.match_info["file"]).unlink()
    return web.Response(status=204)
