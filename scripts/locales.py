"""Writes locales/en from the nodes' schemas, and prints what locales/zh lacks.

    python -m scripts.locales

English texts are written only in the schemas. But ComfyUI shows locales/en instead of them, so an
outdated file would hide a node's new texts. Chinese is written by hand, in the same format:

    nodeDefs.json   {node id: {display_name, description, inputs: {id: {name, tooltip}},
                    outputs: {place: {name}}}}; a dot in an id becomes "_", as in tagger_model
    main.json       nodeCategories: one entry per part of a category's path
    settings.json, commands.json      the editor's settings and commands, by their ids; written by
                    hand in both languages, because they are defined in web/

The editor compiles names and descriptions with vue-i18n, where { } @ and | have a meaning.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from hypernet_pack import comfy_entrypoint
from hypernet_pack.compat.standalone.graph.object_info import describe
from hypernet_pack.compat.standalone.graph.socket_types import DYNAMIC_COMBO
from hypernet_pack.nodes.use.create_hook import CreateHookHypernet

LOCALES = Path(__file__).parent.parent / "locales"
PACK = "hypernet"  # the pack's folder in custom_nodes; the editor identifies our templates by it
Words = dict[str, "Words | str"]


def read(language: str, name: str) -> Words:
    """A file of a language; {} if there is none."""
    path = LOCALES / language / name
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def english() -> dict[str, Words]:
    """{file name: its content} with all texts of the nodes."""
    described = descriptions()
    parts = dict.fromkeys(part for each in described for part in each["category"].split("/"))
    return {
        "nodeDefs.json": {each["name"]: words_of(each) for each in described},
        "main.json": {
            "nodeCategories": {part: part for part in parts},
            "templateWorkflows": {"category": {PACK: PACK}},
        },
    }


def descriptions() -> list[dict]:
    pack = asyncio.run(comfy_entrypoint())
    nodes = asyncio.run(pack.get_node_list())
    return [describe(node) for node in [*nodes, CreateHookHypernet]]  # that one ComfyUI alone has


def inputs_of(described: dict) -> dict[str, tuple]:
    groups = described["input"]
    return {**groups.get("required", {}), **groups.get("optional", {})}


def choices() -> Iterator[tuple[str, str, list[str], str]]:
    """Yields (node id, input id, its choices, its tooltip) of every menu with fixed choices."""
    for each in descriptions():
        for name, (io_type, *details) in inputs_of(each).items():
            if io_type == "COMBO":
                settings = details[0]
                yield each["name"], name, settings["options"], settings.get("tooltip") or ""


def words_of(described: dict) -> Words:
    named = [input_words(name, *about) for name, about in inputs_of(described).items()]
    return {
        "display_name": described["display_name"],
        "description": described["description"],
        "inputs": {key.replace(".", "_"): words for each in named for key, words in each.items()},
        "outputs": {str(i): {"name": name} for i, name in enumerate(described["output_name"])},
    }


def input_words(name: str, io_type: str, options: dict | None = None) -> dict[str, Words]:
    """The texts of an input, and of the inputs that its choices add, by their full ids."""
    settings = options or {}
    words = {name: {"name": name.rpartition(".")[2]} | tooltip(settings.get("tooltip"))}
    if io_type != DYNAMIC_COMBO:
        return words
    said: dict[str, dict[str, str]] = {}  # {input id: {choice: tooltip}}
    for choice in settings["options"]:
        for group in choice["inputs"].values():
            for inner, (_, *details) in group.items():
                about = (details[0] if details else {}).get("tooltip") or ""
                said.setdefault(f"{name}.{inner}", {})[choice["key"]] = about
    for key, by_choice in said.items():
        several = len(set(by_choice.values())) > 1
        lines = [
            f"{choice}: {text}" if several else text
            for choice, text in (by_choice.items() if several else [*by_choice.items()][:1])
        ]
        words[key] = {"name": key.rpartition(".")[2]} | tooltip("\n".join(lines))
    return words


def tooltip(text: str | None) -> dict[str, str]:
    return {"tooltip": text} if text else {}


def leaves(words: Words, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields (all keys that lead to it, text) for every text."""
    for key, value in words.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def lacking(wanted: Words, given: Words) -> Words:
    """The part of `wanted` that `given` lacks, in the same format, ready to translate."""
    found: Words = {}
    have = {path for path, text in leaves(given) if text}
    for path, text in leaves(wanted):
        if path in have:
            continue
        place = found
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = text
    return found


def as_json(words: Words) -> str:
    return json.dumps(words, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    for name, words in english().items():
        path = LOCALES / "en" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_json(words), "utf-8")
        print(f"{path.relative_to(LOCALES.parent)}: {len([*leaves(words)])} texts")
        if missing := lacking(words, read("zh", name)):
            print(f"locales/zh/{name} lacks:\n{as_json(missing)}")


if __name__ == "__main__":
    main()
