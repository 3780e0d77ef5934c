"""The texts that another node writes about a dataset's pictures, and the memory of them.

ComfyUI forgets what nodes gave when it is closed, and a language model takes seconds per picture.
So texts are remembered by the picture's content and by all that asked for them: the nodes before
Caption's input with their settings, up to Dataset Pictures. If all that are needed are known, the
node is not run. Texts that do not come from Dataset Pictures are not remembered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypernet.captions.given_texts import by_picture
from hypernet.captions.tags import Tag
from hypernet.dataset.content_keys import content_key
from hypernet.taggers.answers import TagCache

from ..shared.cache import cache_folder
from .dataset_pictures import NODE

Graph = Mapping[str, Mapping[str, Any]]  # node id -> {"class_type", "inputs"}


@dataclass(frozen=True, kw_only=True)
class Texts:
    """given: one per picture; None if the node was not run. memory: None if there is none."""

    given: Sequence[str] | None
    memory: TagCache | None

    @classmethod
    def of(cls, texts: Sequence[str | None] | None, graph: Graph | None, node: str) -> Texts | None:
        """texts: as the host gives them. None if nothing is connected."""
        if texts is None:
            return None
        known = [*texts] != [None]
        return cls(
            given=[text or "" for text in texts] if known else None,
            memory=memory_of(graph or {}, node),
        )

    def knows(self, pictures: Sequence[Path]) -> bool:
        """Are the texts of all these pictures known without running the node?"""
        return self.given is not None or all(
            self.memory is not None and self._remembered(path) is not None for path in pictures
        )

    def read(self, wanted: Sequence[Path], pictures: Sequence[Path]) -> dict[Path, str]:
        """The texts of the wanted pictures. pictures: all that the texts are about, in order.

        Raises ValueError if there are not as many texts as pictures.
        """
        if self.given is None:
            return {path: self._remembered(path) or "" for path in wanted}
        found = by_picture(pictures, self.given)
        if self.memory is not None:
            new = {path: text for path, text in found.items() if self._remembered(path) != text}
            said = {content_key(path): [Tag(text, 1.0, "sentence")] for path, text in new.items()}
            if said:
                self.memory.add(said)
        return {path: found[path] for path in wanted}

    def _remembered(self, picture: Path) -> str | None:
        found = self.memory and self.memory.get(content_key(picture))
        return found[0].name if found else None


def memory_of(graph: Graph, node: str) -> TagCache | None:
    """What this node's texts said in earlier runs; None if they are not about Dataset Pictures."""
    source = graph.get(node, {}).get("inputs", {}).get("texts")
    if not is_link(source):
        return None
    seen: dict[str, str] = {}
    key = question(graph, source, seen).replace("/", "-")
    if NODE not in {graph[each]["class_type"] for each in seen if each in graph}:
        return None
    return TagCache(cache_folder() / f"texts-{key}.tsv")


def question(graph: Graph, link: Sequence[Any], seen: dict[str, str]) -> str:
    """Identifies what a link gives by all nodes before it and their settings, but not their ids.

    What is before Dataset Pictures does not count, because texts are remembered by the content of
    the pictures. seen: gets a hash of every node.
    """
    node_id, slot = link
    if node_id not in seen:
        node = graph.get(node_id, {"class_type": "", "inputs": {}})
        inputs = {
            name: question(graph, value, seen) if is_link(value) else value
            for name, value in node["inputs"].items()
            if not (node["class_type"] == NODE and name == "dataset")
        }
        written = json.dumps([node["class_type"], inputs], sort_keys=True, default=str)
        seen[node_id] = hashlib.blake2b(written.encode(), digest_size=8).hexdigest()
    return f"{seen[node_id]}/{slot}"


def is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
