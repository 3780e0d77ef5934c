"""Caption: which words belong to a picture, and the sentences that training makes of them."""

from dataclasses import replace

from ..compat import io, ui
from ..hypernet.captions import caption_of
from ..hypernet.words import TEMPLATE, prompt_of, read_templates
from .sockets import CATEGORY, DatasetSocket

ORDERS = {
    "sidecar, then file name": ("sidecar", "file name"),
    "sidecar, then fixed text": ("sidecar", "fixed text"),
    "sidecar only": ("sidecar",),
    "file name only": ("file name",),
    "fixed text only": ("fixed text",),
}


class Caption(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetCaption",
            display_name="Caption (Hypernet)",
            category=CATEGORY,
            description="Chooses the words of every picture and the prompts made of them. "
            "Files are not changed.",
            search_aliases=["captions", "tags", "filewords", "prompt template"],
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Pictures from Load Dataset."),
                io.Combo.Input(
                    "source", options=list(ORDERS), default=next(iter(ORDERS)),
                    tooltip="Where words come from; a sidecar is name.txt or "
                    "name.caption beside name.png.",
                ),
                io.String.Input(
                    "fixed_text", default="",
                    tooltip="Caption for pictures that get one from here.",
                ),
                io.String.Input(
                    "template", default=TEMPLATE, multiline=True,
                    tooltip="Training prompts, one a line, drawn at random: [filewords] becomes "
                    "the caption, [name] the hypernetwork's name.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", display_name="dataset"),
                io.String.Output("report", display_name="report"),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, dataset, source: str, fixed_text: str, template: str) -> io.NodeOutput:
        words = [
            caption_of(item.path, sources=ORDERS[source], fixed=fixed_text)
            for item in dataset.items
        ]
        templates = read_templates(template)
        captioned = dataset.with_captions(words)
        captioned = replace(captioned, words=replace(captioned.words, templates=templates))
        empty = [item.path.name for item in captioned.items if not item.caption]
        lines = [prompt_of(templates[0], text, "[name]") for text in words[:5]]
        if empty:
            lines.append(f"{len(empty)} pictures have no words: {', '.join(empty[:10])}")
        return io.NodeOutput(captioned, "\n".join(lines), ui=ui.PreviewText("\n".join(lines)))
