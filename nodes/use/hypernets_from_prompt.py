"""HypernetPrompt: applies the networks that the prompt names in tags, as in A1111."""

from hypernet.apply.prompt_tags import find_files, match_files, read_tags, take_out_tags
from hypernet.formats.networks import open_network

from ...compat import io, network_folders, ui
from ..shared.sockets import CATEGORY
from .apply import ApplyHypernet
from .load_save import LoadHypernet, find, known_names


class HypernetPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetPrompt",
            display_name="Hypernets from Prompt",
            category=CATEGORY,
            description="Applies the hypernetworks that a prompt names, in their order, and hands "
            "on the prompt without those tags.",
            search_aliases=["hypernet tag", "prompt syntax", "<hypernet:name:1>", "a1111 prompt"],
            inputs=[
                io.Model.Input("model", tooltip="The model to generate with."),
                io.String.Input(
                    "prompt", default="", multiline=True, dynamic_prompts=True,
                    tooltip="A prompt with tags: <hypernet:name:0.8> applies the file name.pt of "
                    "models/hypernetworks at strength 0.8; <hypernet:name> at 1.",
                ),
            ],
            outputs=[
                io.Model.Output("model", display_name="model"),
                io.String.Output("prompt", display_name="prompt"),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, model=None, prompt: str | None = None) -> str:
        """The time and size of the named files, so that changed files are read again.

        If the prompt comes from another node, all files count.
        """
        try:
            files = known_names()
            if prompt is not None:
                files = find_files(read_tags(prompt)[1], files)
            return "\n".join(map(LoadHypernet.fingerprint_inputs, files))
        except (ValueError, OSError):
            return ""  # execute raises the error

    @classmethod
    def validate_inputs(cls, prompt: str | None = None) -> bool | str:
        try:
            find_files(read_tags(prompt or "")[1], known_names())
        except ValueError as fault:
            return str(fault)
        return True

    @classmethod
    def execute(cls, model, prompt: str) -> io.NodeOutput:
        clean, tags = read_tags(prompt)
        warnings = []
        if others := take_out_tags(clean)[1]:
            warnings.append(
                f"Left in the prompt as words: {' '.join(others)}. Only hypernet tags are applied "
                "here; Load LoRA applies a LoRA."
            )
        for tag, match in zip(tags, match_files(tags, known_names()), strict=True):
            warnings += [match.note] if match.note else []
            network = open_network(find(match.name), network_folders())
            applied = ApplyHypernet.execute(model, network, tag.strength)
            model = applied[0]
            warnings += [applied.ui.as_dict()["text"][0]] if applied.ui else []
        shown = ui.PreviewText("\n".join(warnings)) if warnings else None
        return io.NodeOutput(model, clean, ui=shown)
