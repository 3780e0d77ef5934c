"""The node pack: ComfyUI finds comfy_entrypoint and the web folder here, and nothing else."""

WEB_DIRECTORY = "./web"

if __package__:  # pytest imports this file without a package; there it has nothing to offer
    from . import library

    library.provide()

    async def comfy_entrypoint():
        from .nodes import Hypernet

        return Hypernet()
