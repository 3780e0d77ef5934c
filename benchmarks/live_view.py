"""Measures what an open editor costs while it shows a long training.

A run of 100,000 updates grows on the disk while the live view of Train Hypernet is open and gets
four events a second, as from a training. The page's heap is measured every minute. Then the view is
moved out of the window, and the CPU time of the page's process is measured with and without events.
Needs what `make test-web` needs. Writes out/bench/live_view.json.

    python benchmarks/live_view.py [MINUTES]        60 by default
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / folder) for folder in ("web", "live")]

from editing import Editor  # noqa: E402
from servers import StandIn  # noqa: E402
from test_live_view import LOG_HEAD, log_line, look_at_view  # noqa: E402

RESULT = HERE.parent / "out" / "bench" / "live_view.json"
NAME, UPDATES = "long", 100_000
EVENTS = 4  # per second
REST = 60  # seconds for which a page with the view out of sight is measured
TELL = f"""
window.comfyAPI.api.api.dispatchCustomEvent("hypernet.step",
  {{ name: "{NAME}", node: "0", state: "training", step: given, total: {UPDATES} }});
"""


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as base,
        StandIn(Path(base)) as host,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        editor = Editor(browser.new_page(viewport={"width": 1500, "height": 950}), host, "soak")
        editor.open()
        heaps = watch(editor, Path(base) / "output" / "hypernet" / NAME, minutes * 60)
        editor.run("app.canvas.ds.offset = [9000, 9000]; app.canvas.setDirty(true, true)")
        away = {"with events": cost(editor, True), "without": cost(editor, False)}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    content = {"updates": UPDATES, "minutes": minutes, "heap_mib": heaps, "cores_away": away}
    RESULT.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    print(f"out of sight: {away} of a core\n→ {RESULT}")


def watch(editor: Editor, folder: Path, seconds: float) -> list[float]:
    """The page's heap in MiB, at the beginning and after every minute."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"settings": {"steps": UPDATES}}))
    session = editor.page.context.new_cdp_session(editor.page)
    heaps: list[float] = []
    begin, done = time.monotonic(), 0
    with open(folder / "loss.csv", "w") as log, open(folder / "seen.jsonl", "w") as seen:
        log.write(f"{LOG_HEAD}\n")
        while done < UPDATES:
            passed = time.monotonic() - begin
            until = min(UPDATES, 1 + int(UPDATES * passed / seconds))
            for step in range(done + 1, until + 1):
                log.write(f"{log_line(step)}\n")
                if step % 100 == 0:
                    seen.write(json.dumps({"step": step, "probe": 0.05 + 1 / (step + 99)}) + "\n")
            done = until
            log.flush(), seen.flush()
            if not heaps:
                editor.load_training(NAME, UPDATES)
                look_at_view(editor)
            editor.run(TELL, done)
            editor.events.clear(), editor.asked.clear()
            if passed >= len(heaps) * 60 or done == UPDATES:
                heaps.append(heap(session))
                print(f"{passed / 60:4.0f} min, update {done:6}: {heaps[-1]:.1f} MiB", flush=True)
            editor.page.wait_for_timeout(1000 / EVENTS)
    return heaps


def heap(session) -> float:
    session.send("HeapProfiler.collectGarbage")
    return round(session.send("Runtime.getHeapUsage")["usedSize"] / 2**20, 2)


def cost(editor: Editor, told: bool) -> float:
    """The share of a core that the page's process uses while the view is out of sight."""
    editor.page.wait_for_timeout(3000)
    before, begin = page_seconds(), time.monotonic()
    while time.monotonic() - begin < REST:
        if told:
            editor.run(TELL, UPDATES)
        editor.page.wait_for_timeout(1000 / EVENTS)
    return round((page_seconds() - before) / (time.monotonic() - begin), 4)


def page_seconds() -> float:
    """The CPU seconds that the pages of our browser have used."""
    found = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            if "--type=renderer" in child.cmdline():
                found += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            pass
    return found


if __name__ == "__main__":
    main()
