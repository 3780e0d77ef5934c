"""The editor's lists of model files, and their metadata."""

from __future__ import annotations

import asyncio

from aiohttp import web

from hypernet.text.links import files_below

from .. import folders

routes = web.RouteTableDef()

MODEL_FOLDERS = ("checkpoints", "hypernetworks", "loras", "embeddings", "vae", "controlnet")
MODEL_ENDINGS = (folders.WEIGHT_ENDING, ".ckpt", ".pt", ".bin", ".sft")


def model_folder_names() -> list[str]:
    top = folders.models_folder()
    there = {path.name for path in top.iterdir() if path.is_dir()} if top.is_dir() else set()
    return sorted({*MODEL_FOLDERS, *there})


def _model_files(kind: str) -> list[str]:
    if kind not in model_folder_names():
        raise FileNotFoundError(f'there is no folder of models called "{kind}".')
    if kind == "checkpoints":
        return folders.checkpoint_names()
    (folder,) = folders.model_folders(kind)
    return files_below(folder, MODEL_ENDINGS)


@routes.get("/models")
async def list_model_folders(request: web.Request) -> web.Response:
    return web.json_response(model_folder_names())


@routes.get("/models/{kind}")
async def list_models(request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(_model_files, request.match_info["kind"]))


@routes.get("/experiment/models")
async def describe_model_folders(request: web.Request) -> web.Response:
    return web.json_response(
        [
            {
                "name": name,
                "folders": [str(folder) for folder in folders.model_folders(name)],
                "extensions": list(MODEL_ENDINGS),
            }
            for name in model_folder_names()
        ]
    )


@routes.get("/experiment/models/{kind}")
async def describe_models(request: web.Request) -> web.Response:
    kind = request.match_info["kind"]
    names = await asyncio.to_thread(_model_files, kind)
    (folder,) = folders.model_folders(kind)
    described = [
        {
            "name": name,
            "pathIndex": 0,
            "modified": (folder / name).stat().st_mtime,
            "size": (folder / name).stat().st_size,
        }
        for name in names
    ]
    return web.json_response(described)


@routes.get("/embeddings")
async def list_embeddings(request: web.Request) -> web.Response:
    names = await asyncio.to_thread(_model_files, "embeddings")
    return web.json_response([name.rpartition(".")[0] for name in names])


@routes.get("/view_metadata/{kind}")
async def view_metadata(request: web.Request) -> web.Response:
    from safetensors import safe_open

    name = request.query.get("filename", "")
    (folder,) = folders.model_folders(request.match_info["kind"])
    folders.within(folders.models_folder(), request.match_info["kind"])
    path = folders.within(folder, name)
    if path.suffix != ".safetensors" or not path.is_file():
        raise FileNotFoundError(f'"{name}" is no .safetensors file here.')
    with safe_open(path, "pt") as file:
        return web.json_response(file.metadata() or {})
