"""Help pages and guides: complete in both languages, small, and true to what the code says."""

import ast
import asyncio
import json
import re
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
HELP = ROOT / "web" / "docs"
GUIDES = (
    "tutorial",
    "recipes",
    "troubleshooting",
    "runs",
    "taggers",
    "memory",
    "library",
    "standalone",
    "measurements",
    "overnight",
    "models",
)
ONLY_IN_COMFYUI = {"HypernetCreateHook"}  # nodes for what the stand-in lacks
ADDRESS = "hypernet-founders"  # nobody has published it: pyproject.toml alone holds its place
QUOTE = re.compile(r"“([^”]+)”")
IN_CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@cache
def schemas():
    from hypernet_pack.nodes import Hypernet

    nodes = asyncio.run(Hypernet().get_node_list())
    assert nodes
    return {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in nodes}


def pages() -> list[Path]:
    guides = [ROOT / "docs" / f"{name}{language}.md" for name in GUIDES for language in ("", ".zh")]
    others = ("README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md")
    return [*sorted(HELP.rglob("*.md")), *guides, *(ROOT / name for name in others)]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def sentences() -> str:
    """Every text in the code; … where a value comes in."""
    found = []
    for folder in ("hypernet", "nodes", "compat"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = (
                        part.value if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    )
                    found.append("".join(parts))
    return "\n".join(found)


def test_every_node_has_a_help_page_in_both_languages():
    """ComfyUI asks for docs/<node id>/<language>.md, and then for docs/<node id>.md."""
    missing = [
        named(page)
        for node in schemas()
        for page in (HELP / f"{node}.md", HELP / node / "zh.md")
        if not page.is_file()
    ]
    assert not missing


def test_no_help_page_is_of_a_node_that_is_gone():
    pages = {page.stem for page in HELP.glob("*.md")} | {
        page.parent.name for page in HELP.glob("*/zh.md")
    }
    assert ONLY_IN_COMFYUI <= pages <= set(schemas()) | ONLY_IN_COMFYUI


def test_help_pages_have_their_picture_and_pictures_are_small():
    for node in schemas():
        for page in (HELP / f"{node}.md", HELP / node / "zh.md"):
            assert f"](assets/{node}.webp)" in page.read_text("utf-8"), named(page)
    pictures = list((HELP / "assets").iterdir())
    assert len(pictures) >= len(schemas())
    for file in pictures:
        assert file.stat().st_size <= 40_000, file.name
        with Image.open(file) as picture:
            assert picture.width <= 800, file.name
    assert sum(file.stat().st_size for file in pictures) <= 1_000_000


def test_help_pages_call_nodes_and_settings_as_the_editor_does():
    locales = json.loads((ROOT / "locales/zh/nodeDefs.json").read_text("utf-8"))
    for node, schema in schemas().items():
        english = (HELP / f"{node}.md").read_text("utf-8")
        chinese = (HELP / node / "zh.md").read_text("utf-8")
        assert english.startswith(f"# {schema.display_name}\n"), node
        assert chinese.startswith(f"# {locales[node]['display_name']}\n"), node


def test_help_pages_name_settings_that_their_node_has():
    for node, schema in schemas().items():
        known = {each.id for each in [*schema.inputs, *schema.outputs]}
        for page in (HELP / f"{node}.md", HELP / node / "zh.md"):
            heads = re.findall(r"^### (.*)", page.read_text("utf-8"), re.MULTILINE)
            assert len(heads) == 3, named(page)  # the three that matter
            assert {name for head in heads for name in IN_CODE.findall(head)} <= known, named(page)


def test_help_pages_fit_a_panel_of_250_pixels():
    """A table does not: its right half is out of sight in the editor's side panel."""
    for page in HELP.rglob("*.md"):
        assert "|---" not in page.read_text("utf-8"), named(page)


@pytest.mark.parametrize("pattern", [QUOTE, IN_CODE, LINK], ids=lambda each: each.pattern)
def test_pages_have_what_they_are_searched_for(pattern):
    assert sum(bool(pattern.search(page.read_text("utf-8"))) for page in pages()) > 5


@pytest.mark.parametrize("page", pages(), ids=named)
def test_sentences_that_a_page_quotes_are_said_somewhere_in_the_code(page):
    said = sentences()
    unsaid = [
        part.strip()
        for quote in QUOTE.findall(page.read_text("utf-8"))
        if re.fullmatch(r"[\x20-\x7e…−×]+", quote) and " " in quote
        for part in re.split("…", quote)
        if part.strip(" .") and part.strip() not in said
    ]
    assert not unsaid


@pytest.mark.parametrize("page", pages(), ids=named)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text("utf-8")):
        target, _, place = link.partition("#")
        if target and not target.startswith(("http://", "https://")):
            home = HELP if HELP in page.parents else page.parent
            assert (home / target).exists(), link
        elif place and not target:
            assert f"# {place.replace('-', ' ')}" in page.read_text("utf-8").lower(), link


def test_help_pages_refer_to_other_nodes_by_their_names():
    locales = json.loads((ROOT / "locales/zh/nodeDefs.json").read_text("utf-8"))
    names = {
        ".md": {schema.display_name for schema in schemas().values()},
        "/zh.md": {locales[node]["display_name"] for node in schemas()},
    }
    for node in schemas():
        for ending, known in names.items():
            last = (HELP / f"{node}{ending}").read_text("utf-8").splitlines()[-1]
            referred = set(re.findall(r"\*\*(.+?)\*\*", last))
            assert referred and referred <= known, f"{node}{ending}"


@pytest.mark.parametrize("page", pages(), ids=named)
def test_no_page_sends_readers_to_an_address_that_is_not_there(page):
    assert ADDRESS not in page.read_text("utf-8")


@pytest.mark.parametrize("name", GUIDES)
def test_guides_say_the_same_numbers_and_names_in_both_languages(name):
    english, chinese = (
        (ROOT / "docs" / f"{name}{language}.md").read_text("utf-8") for language in ("", ".zh")
    )
    assert english.count("\n|") == chinese.count("\n|")
    assert english.count("\n#") == chinese.count("\n#")
    code = {
        text
        for text in set(IN_CODE.findall(english)) ^ set(IN_CODE.findall(chinese))
        if not re.search("<|[\u4e00-\u9fff]", text)
    }
    assert not code
    assert QUOTE.findall(english) == [q for q in QUOTE.findall(chinese) if q.isascii() or "…" in q]


def test_the_map_for_contributors_names_every_room_and_every_floor():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    parts = ("hypernet", "nodes", "compat")
    rooms = [path.parent for part in parts for path in (ROOT / part).glob("*/__init__.py")]
    assert rooms and not [named(room) for room in rooms if f"  {room.name}/ " not in text]
    house = ast.parse((ROOT / "tests" / "test_house.py").read_text("utf-8"))
    floors = next(
        ast.literal_eval(node.value)
        for node in house.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS"
    )
    assert re.findall(r"^\d\. (.+)$", text, re.MULTILINE) == [", ".join(each) for each in floors]


def test_search_finds_every_node_by_more_than_its_name():
    lacking = [name for name, schema in schemas().items() if not schema.search_aliases]
    assert not lacking
