"""A browser before the graph editor, for all tests of this folder.

`editor` is the editor, open on an empty page, once in each renderer: the canvas and Nodes 2.0.
`open_editor(theme="light", language="zh")` opens one that looks otherwise. When the test is over,
nothing of ours may have complained in the console, and no address of another server been asked.
With COMFYUI_DIR set the same tests run before a real ComfyUI, too.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live")]

import comfyui_server

NEEDED = {"aiohttp": "editor", "playwright": "web-tests"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
RENDERERS = {"canvas": False, "vue": True}  # the setting for Nodes 2.0
WIDTH, HEIGHT = 1500, 950
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Notification.ShowVersionUpdates": False,
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Before `-m "not web"` chooses."""
    item.add_marker(pytest.mark.web)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ours come last: Playwright leaves an event loop in the thread, so nobody else has one.

    Those that want the same page follow one another, because opening one takes longest.
    """
    ours = [item for item in items if HERE in item.path.parents]
    groups: dict[tuple, int] = {}

    def page_of(item: pytest.Item) -> tuple:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        group = groups.setdefault((params.get("host"), params.get("renderer")), len(groups))
        return group, params.get("language", "en"), params.get("theme", "dark")

    items[:] = [item for item in items if item not in ours] + sorted(ours, key=page_of)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    for module, extra in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'{module} is not installed: pip install "hypernet[{extra}]"')
    from playwright.sync_api import Error, sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0  # whom Chromium gives no sandbox
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox"] if as_root else []
            )
        except Error as error:
            if path:
                raise
            pytest.skip(f"no Chromium here: playwright install chromium ({error.message[:80]})")
        yield browser
        browser.close()


@pytest.fixture(
    scope="session", params=["stand-in", pytest.param("ComfyUI", marks=pytest.mark.live)]
)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The server: servers.StandIn, or servers.ComfyUI where there is one."""
    if request.param == "ComfyUI" and (reason := comfyui_server.missing()):
        pytest.skip(reason)
    request.getfixturevalue("browser")  # or there is no need for a server
    import servers

    kind = {"stand-in": servers.StandIn, "ComfyUI": servers.ComfyUI}[request.param]
    with kind(tmp_path_factory.mktemp("host")) as server:
        yield server


@pytest.fixture(
    scope="session", params=RENDERERS
)  # of the session, so that tests are grouped by it
def renderer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def desk(host: Any, browser: Any) -> Iterator[Desk]:
    desk = Desk(host, browser)
    yield desk
    desk.clear()


class Desk:
    """The one page that is open. It serves test after test as long as they want it the same,
    because opening it takes longer than most tests."""

    def __init__(self, host: Any, browser: Any):
        self.host = host
        self.browser = browser
        self.settings: dict[str, Any] = {}
        self.editor: Any = None

    def open(self, settings: dict[str, Any], look: str) -> Any:
        from editing import Editor

        if self.editor and settings == self.settings and not self.editor.page.is_closed():
            self.editor.start_over()
            return self.editor
        self.clear()
        self.host.post("/settings", settings)
        context = self.browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        # or the stand-in opens its first template
        been = {"name": "hypernet_been_here", "value": "1", "url": self.host.address}
        context.add_cookies([been])
        editor = Editor(context.new_page(), self.host, look)
        try:
            editor.open()
        except Exception:
            context.close()
            raise
        self.editor, self.settings = editor, settings
        return editor

    def clear(self) -> None:
        if self.editor:
            self.editor.page.context.close()
            self.editor = None


@pytest.fixture
def open_editor(desk: Desk) -> Iterator[Callable[..., Any]]:
    """open_editor(renderer="canvas", theme="dark", language="en", **settings) -> Editor

    A second call in the same test closes the first editor.
    """
    opened = []

    def open_one(
        renderer: str = "canvas", theme: str = "dark", language: str = "en", **settings: Any
    ) -> Any:
        wanted = {
            "Comfy.VueNodes.Enabled": RENDERERS[renderer],
            "Comfy.ColorPalette": theme,
            "Comfy.Locale": language,
        }
        editor = desk.open(SETTINGS | wanted | settings, "-".join((renderer, theme, language)))
        opened.append(editor)
        return editor

    yield open_one
    for editor in opened:
        assert not editor.complaints, "\n".join(editor.complaints)
        outside = [url for url in editor.asked if not _is_inside(url, desk.host.address)]
        assert not outside, outside


@pytest.fixture
def editor(open_editor: Callable[..., Any], renderer: str) -> Any:
    return open_editor(renderer)


def _is_inside(url: str, address: str) -> bool:
    inside = (address, address.replace("http", "ws", 1), "data:", "blob:")
    return url.startswith(inside)
