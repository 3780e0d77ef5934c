"""The graph editor in a page of a browser, as tests see it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Request

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "example_workflows"
PICTURES = REPOSITORY / "out" / "web"
OURS = "/extensions/hypernet/"
PATIENCE = 30_000  # milliseconds for a click, on a machine that has other things to do
OPENING = 120_000  # and for a page
READY = "() => window.app?.extensionManager?.workflow?.activeWorkflow != null"
INTO_THIS_TAB = """
const tab = app.extensionManager.workflow.activeWorkflow;
await app.loadGraphData(given, true, true, tab);
"""

Workflow = dict[str, Any]
TRAINING = (
    "CheckpointLoaderSimple", "HypernetLoadDataset", "HypernetCaption", "HypernetConfig",
    "HypernetTrain",
)  # fmt: skip


def until_training(workflow: Workflow) -> Workflow:
    """What of a workflow a training needs, and a Save Image for its preview."""
    trainer = next(node for node in workflow["nodes"] if node["type"] == "HypernetTrain")
    saver = next(node for node in workflow["nodes"] if node["type"] == "SaveImage")
    kept = [node for node in workflow["nodes"] if node["type"] in TRAINING]
    ids = {node["id"] for node in kept}
    links = [link for link in workflow["links"] if link[1] in ids and link[3] in ids]
    preview = [output["name"] for output in trainer["outputs"]].index("preview")
    picture = [max(link[0] for link in workflow["links"]) + 1, trainer["id"], preview]
    picture += [saver["id"], 0, "IMAGE"]
    saver["inputs"][0]["link"] = picture[0]
    links.append(picture)
    for node in kept:
        for slot, output in enumerate(node["outputs"]):
            output["links"] = [link[0] for link in links if link[1:3] == [node["id"], slot]]
    return workflow | {
        "nodes": [*kept, saver], "links": links, "groups": [],
        "last_link_id": picture[0],  # or older editors give a later link the same number
    }  # fmt: skip


class Editor:
    """One page. What it says in the console because of us is kept in `complaints`, the addresses
    that it asks for in `asked`, and the server's messages in `events`: (type, data)."""

    def __init__(self, page: Page, host: Any, look: str):
        self.page = page
        self.host = host
        self.look = look  # renderer, theme and language, for names of pictures
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.events: list[tuple[str, Any]] = []
        self._listen()

    def _listen(self) -> None:
        page = self.page
        page.set_default_timeout(PATIENCE)
        page.set_default_navigation_timeout(OPENING)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("requestfailed", self._failed)
        page.on("websocket", lambda socket: socket.on("framereceived", self._heard))
        session = page.context.new_cdp_session(page)  # it tells where in the code a message is from
        session.on("Runtime.consoleAPICalled", self._console)
        session.on("Runtime.exceptionThrown", self._exception)
        session.send("Runtime.enable")

    def _failed(self, request: Request) -> None:
        if request.failure == "csp":  # the server's policy has kept it in
            self.asked.remove(request.url)

    def _heard(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.events.append(("preview", frame))
        else:
            message = json.loads(frame)
            self.events.append((message["type"], message.get("data")))

    def _console(self, said: dict) -> None:
        if said["type"] in ("error", "warning", "assert"):
            words = [str(each.get("value", each.get("description"))) for each in said["args"]]
            self._complain(" ".join(words), said.get("stackTrace"))

    def _exception(self, thrown: dict) -> None:
        details = thrown["exceptionDetails"]
        words = details.get("exception", {}).get("description", details["text"])
        self._complain(words, details.get("stackTrace"))

    def _complain(self, words: str, stack: dict | None) -> None:
        places = []
        while stack:
            places += [f"{f['url']}:{f['lineNumber'] + 1}" for f in stack["callFrames"]]
            stack = stack.get("parent")
        ours = [place for place in places if OURS in place]
        if ours or OURS in words:
            self.complaints.append(f"{words} ({', '.join(ours)})")

    # The page

    def open(self) -> None:
        self.page.goto(self.host.address, wait_until="domcontentloaded")
        self.page.wait_for_function(READY, timeout=OPENING)
        # The frontend draws a first graph of its own; ours must not be overtaken by it.
        self.page.wait_for_selector("#splash-loader", state="detached", timeout=OPENING)

    def start_over(self) -> None:
        """An empty graph and no sidebar, for the next test."""
        self.host.post("/interrupt", {})
        self.host.post("/queue", {"clear": True})
        self.run(
            "const {sidebarTab} = app.extensionManager;"
            "const {activeSidebarTabId: open} = sidebarTab;"
            "if (open) sidebarTab.toggleSidebarTab(open);"
        )
        self.run("app.clean()")  # or pictures of former nodes show on new ones of the same number
        self.run(INTO_THIS_TAB, {"nodes": [], "links": [], "version": 0.4})
        for heard in (self.complaints, self.asked, self.events):
            heard.clear()

    def reload(self) -> None:
        self.page.reload(wait_until="domcontentloaded")
        self.page.wait_for_function(READY, timeout=OPENING)

    def shot(self, name: str) -> Path:
        """A picture of the page in out/web, named for what it shows and how it looks."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}-{self.host.name}-{self.look}.png"
        self.page.screenshot(path=path)
        return path

    def run(self, script: str, argument: Any = None) -> Any:
        """JavaScript in the page; `app` is the editor's."""
        return self.page.evaluate(
            f"async (given) => {{ const app = window.app; {script} }}", argument
        )

    def until(self, condition: str, argument: Any = None, seconds: float = 60) -> None:
        """Wait until an expression over `app` and `given` holds."""
        self.page.wait_for_function(
            f"(given) => {{ const app = window.app; return {condition} }}",
            arg=argument,
            timeout=seconds * 1000,
        )

    # The graph

    def load(self, workflow: Workflow | str) -> None:
        """A workflow, or one of example_workflows by its name, drawn whole on the canvas."""
        if isinstance(workflow, str):
            workflow = json.loads((EXAMPLES / f"{workflow}.json").read_text("utf-8"))
        self.run(INTO_THIS_TAB, workflow)
        self.until(
            "app.graph.nodes.length === given && document.querySelector('canvas')",
            len(workflow["nodes"]),
        )
        self.run("await app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        self.settle()

    def settle(self) -> None:
        """Wait until the view has glided to its place and no node changes its size any more."""
        sizes = None
        for _ in range(20):
            self.page.wait_for_timeout(300)
            now = self.run("return app.graph.nodes.map((node) => [...node.size])")
            if now == sizes:
                return
            sizes = now

    def saved(self) -> Workflow:
        """What saving would write."""
        return self.run("return JSON.parse(JSON.stringify(app.graph.serialize()))")

    def set(self, kind: str, **values: Any) -> None:
        """Widget values of the only node of this kind."""
        missed = self.run(
            """
            const [kind, values] = given;
            const [node] = app.graph.nodes.filter((node) => node.type === kind);
            const missed = [];
            for (const [name, value] of Object.entries(values)) {
              const widget = node.widgets.find((each) => each.name === name);
              if (!widget) { missed.push(name); continue; }
              widget.value = value;
              widget.callback?.(value);
            }
            return missed;
            """,
            [kind, values],
        )
        assert not missed, f"{kind} has no widget {missed}"

    def load_training(self, name: str, steps: int, **changes: Any) -> None:
        """The train example, made small: few pictures and the model that the host has. Its
        result is called `name`; changes are widget values of Train Hypernet."""
        workflow = until_training(json.loads((EXAMPLES / "train_style.json").read_text("utf-8")))
        for node in workflow["nodes"]:  # before it is opened, or the editor misses the model
            if node["type"] == "CheckpointLoaderSimple":
                node["widgets_values"] = [self.host.checkpoint]
        self.load(workflow)
        pixels = self.host.pixels
        folder = self.few_pictures()
        self.set("HypernetLoadDataset", folder=folder, width=pixels, height=pixels)
        preview = {"preview_prompt": "red heart", "preview_every": 2, "preview_steps": 2}
        self.set("HypernetTrain", name=name, steps=steps, **preview | changes)

    def few_pictures(self) -> str:
        """The name of a folder with eight pictures, in the host's input."""
        folder = self.host.base / "input" / "small"
        if not folder.is_dir():
            folder.mkdir()
            for file in sorted((REPOSITORY / "demo" / "pictures").iterdir())[:16]:  # and captions
                shutil.copy(file, folder)
        return folder.name

    def touch(self) -> None:
        """Click beside the nodes: the editor looks for changes then, and keeps a draft soon."""
        self.page.mouse.click(300, 800)
        self.page.wait_for_timeout(1500)

    # Running

    def queue(self) -> str:
        """Press the editor's own Run button; the id of the queued prompt."""
        with self.page.expect_response(lambda answer: answer.url.endswith("/api/prompt")) as posted:
            self.page.get_by_test_id("queue-button").click()
        answer = posted.value
        assert answer.status == 200, answer.text()
        return answer.json()["prompt_id"]

    def interrupt(self) -> None:
        """The editor's own command for it."""
        self.run("await app.extensionManager.command.execute('Comfy.Interrupt')")

    def hear(self, fits: Callable[[str, Any], bool], seconds: float = 120) -> Any:
        """The data of the first event that fits, waiting for it."""
        step = 100
        for _ in range(int(seconds * 1000 / step)):
            for name, data in self.events:
                if fits(name, data):
                    return data
            self.page.wait_for_timeout(step)
        told = [name for name, _ in self.events]
        raise AssertionError(f"no such event among {told[-40:]}\n{self.host.words()[-2000:]}")

    def end_of(self, prompt_id: str, seconds: float = 120) -> str:
        """ "success", "error" or "interrupted"."""
        ends = {f"execution_{word}": word for word in ("success", "error", "interrupted")}
        found = []

        def ends_it(name: str, data: Any) -> bool:
            if name in ends and data["prompt_id"] == prompt_id:
                found.append(ends[name])
            return bool(found)

        self.hear(ends_it, seconds)
        return found[0]
