"""`hypernet serve` as the editor and as strangers find it. Its pages are tried in tests/web."""

from __future__ import annotations

import asyncio
import contextvars
import http.client
import json
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

aiohttp = pytest.importorskip("aiohttp", reason="the graph editor's server is an extra")

from aiohttp import web
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone import routes as editor
from hypernet_pack.compat.standalone.graph import io
from hypernet_pack.compat.standalone.nodes.core import CORE_NODES
from hypernet_pack.compat.standalone.progress import (
    Progress,
    is_interrupted,
    raise_if_interrupted,
)
from hypernet_pack.compat.standalone.serve import frontend, model_lists, pictures
from hypernet_pack.compat.standalone.serve.frontend import EXAMPLES, frontend_folder, translations
from hypernet_pack.compat.standalone.serve.gate import refusal
from hypernet_pack.compat.standalone.serve.jobs import Job, Jobs
from hypernet_pack.compat.standalone.serve.server import Server
from hypernet_pack.nodes import Hypernet

RED = Image.new("RGB", (8, 6), "red")


class Say(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Say",
            display_name="Say",
            inputs=[io.String.Input("words")],
            outputs=[io.String.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, words):
        if words == "fail":
            raise ValueError("these words cannot be said")
        return io.NodeOutput(words, ui={"text": (words,)})


WAITS = threading.Event()  # is a Wait running?


class Wait(io.ComfyNode):
    """Shows a picture and stays until it is interrupted."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Wait", display_name="Wait", inputs=[], is_output_node=True)

    @classmethod
    def execute(cls):
        Progress(10).update(3, RED)
        WAITS.set()
        while not is_interrupted():
            time.sleep(0.01)
        raise_if_interrupted()


class Service:
    def __init__(self, server: Server, address: str):
        self.server = server
        self.address = address

    def ask(self, method: str, path: str, body=None, headers=None) -> tuple[int, bytes, dict]:
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def get(self, path: str):
        status, body, _ = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, content) -> tuple[int, dict]:
        status, body, _ = self.ask("POST", path, content)
        return status, json.loads(body) if body else {}

    def queue(self, *nodes: tuple[str, dict], **more) -> str:
        prompt = {
            str(number): {"class_type": kind, "inputs": inputs}
            for number, (kind, inputs) in enumerate(nodes, 1)
        }
        status, answer = self.post("/api/prompt", {"prompt": prompt} | more)
        assert status == 200, answer
        return answer["prompt_id"]

    def until_it_waits(self) -> None:
        """Until the first Wait of the test runs. An interrupt that comes before stops nothing."""
        assert WAITS.wait(60)

    def ended(self, prompt_id: str) -> dict:
        for _ in range(3000):
            if entry := self.get(f"/api/history/{prompt_id}"):
                return entry[prompt_id]
            time.sleep(0.02)
        raise AssertionError(f"{prompt_id} does not end")

    def upload(self, name: str, content: bytes, **fields: str) -> tuple[int, dict]:
        parts = [
            f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}'
            for k, v in fields.items()
        ]
        head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
        body = "\r\n".join([*parts, head]).encode() + content + b"\r\n--x--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        status, answer, _ = self.ask("POST", "/api/upload/image", body, kind)
        return status, json.loads(answer)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Service]:
    WAITS.clear()
    names = ("input", "output", "models", "user")
    for name in (*names, "frontend"):
        (tmp_path / name).mkdir()
    (tmp_path / "frontend" / "index.html").write_text("<title>the editor</title>")
    (tmp_path / "secret.txt").write_text("secret")
    with editor.collected_routes() as routes:
        asyncio.run(Hypernet().on_load())
    with folders.configured(**{name: tmp_path / name for name in names}):
        server = Server([Say, Wait], frontend_folder(tmp_path / "frontend"), routes)
        with running(server) as address, editor.speaking_to(server.editors):
            yield Service(server, address)


class running:  # noqa: N801
    """The server on a thread of its own and a free port."""

    def __init__(self, server: Server):
        self.server = server
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self.loop.run_forever,)
        )

    def do(self, task):
        return asyncio.run_coroutine_threadsafe(task, self.loop).result(20)

    def __enter__(self) -> str:
        self.thread.start()
        self.runner = web.AppRunner(self.server.application())
        self.do(self.runner.setup())
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        self.do(site.start())
        self.server.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    def __exit__(self, *_):
        self.server.stop()
        self.do(self.runner.cleanup())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)


def heard(served: Service, act, until: str, client: str = "me", features=None) -> list:
    """What a client hears from its connection on until the event, acting in between."""

    async def listen() -> list:
        said = []
        async with aiohttp.ClientSession() as session:
            address = f"{served.address}/ws?clientId={client}"
            async with session.ws_connect(address) as socket:
                await socket.send_json({"type": "feature_flags", "data": features or {}})
                await asyncio.to_thread(act)
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.BINARY:
                        said.append(("binary", message.data))
                        continue
                    event = json.loads(message.data)
                    said.append((event["type"], event["data"]))
                    if event["type"] == until:
                        return said
        raise AssertionError(f"no {until} in {said}")

    return asyncio.run(asyncio.wait_for(listen(), 20))


# Invalid requests

SAY = {"class_type": "Say", "inputs": {"words": "x"}, "_meta": {"title": "It"}}
CONFIG = {
    "layer_structure": "1, 2, 1", "activation": "relu", "weight_initialization": "Normal",
    "layer_norm": False, "dropout_structure": "", "activate_output": False, "widths": "",
}  # fmt: skip
SCHEDULE = {
    "learning_rate": "1e-3", "steps": 10, "batch_size": 1, "accumulation": 1, "optimizer": "AdamW",
}  # fmt: skip
SENT = {  # a good body for every path that takes JSON
    "/prompt": {
        "prompt": {"1": SAY}, "prompt_id": "a", "client_id": "me", "number": 1, "front": False,
        "extra_data": {"client_id": "me", "extra_pnginfo": {"workflow": {"id": "w"}}},
        "partial_execution_targets": ["1"],
    },
    "/queue": {"clear": False, "delete": ["x"]},
    "/history": {"clear": False, "delete": ["x"]},
    "/interrupt": {"prompt_id": "x"},
    "/free": {"unload_models": False, "free_memory": False},
    "/jobs/cancel": {"job_ids": ["x"]},
    "/settings": {"a": 1},
    "/settings/{id}": 1,
    "/hypernet/pictures": {
        "folder": "pictures", "subfolders": True, "text": "", "tag": "", "offset": 0, "count": 5,
        "edits": {"a.png": "red"}, "rules": {"source": "sidecar, then file name"},
        "without": ["blue"], "state": "edited", "exclude": "b.png",
    },
    "/hypernet/unreadable": {"folder": "pictures", "subfolders": True},
    "/hypernet/review": {"folder": "pictures", "subfolders": True},
    "/hypernet/retag": {
        "folder": "pictures", "subfolders": True, "text": "", "tag": "", "edits": {"a.png": "red"},
        "without": ["blue"], "state": "edited", "exclude": "b.png", "way": "replace",
        "tags": "red", "by": "green",
    },
    "/hypernet/captions": {
        "folder": "pictures", "subfolders": True, "edits": {"a.png": "red"},
    },
    "/hypernet/upload": {
        "name": "a.pt", "token": "0123456789abcdef", "offset": 0, "data": "YQ==", "last": False,
    },
    "/hypernet/runs/ask": {"name": "a", "ask": "stop"},
    "/hypernet/book/settings": {"names": ["a"]},
    "/hypernet/book/publish": {"name": "a", "step": ""},
    "/hypernet/book/delete": {"name": "a"},
    "/hypernet/forecast": {
        "name": "a", "resume": True, "if_taken": "add a number", "continue_from": "nothing",
        "settings": {"steps": 5, "learning_rate": "auto"}, "config": CONFIG, "demo": True,
        "size": {"width": 64, "height": 64},
    },
    "/hypernet/config": CONFIG,
    "/hypernet/schedule": SCHEDULE | {"demo": True, "size": {"width": 64, "height": 64}},
    "/hypernet/learning_rate": SCHEDULE | {
        "pictures": 5, "dataset": {"folder": "pictures", "subfolders": True}, "config": CONFIG,
    },
}  # fmt: skip
BODILESS = {"/jobs/{id}/cancel", "/userdata/{file}/move/{to}"}
FILES = {"/upload/image", "/upload/mask", "/userdata/{file}"}
DEEP = b"[" * 3000 + b"]" * 3000
WRONG_VALUES = [
    b"null", b"true", b"5", b"-1", b"1.5", b"0", b"1" + b"0" * 350, b"1" + b"0" * 399, b"1e308",
    b"1e999", b"9" * 5000, b"NaN", b"-Infinity", b'""', b'"5"', b'"\\ud800"', b'"\\u0000"',
    b'"../.."', b'"' + b"x" * 100_000 + b'"', b"[]", b"[[]]", b"[null]", b"[1, 0]", b'["1", 0]',
    b'["1", 1e300]', b"{}", b'{"": {}}', b'{"\\ud800": 1}', b'{"1": 5}', b'{"1": null}', DEEP,
]  # fmt: skip
WRONG_BODIES = [
    *WRONG_VALUES, b"", b"{", b"nul", b"\xff\xfe", b"\x00", b"{}{}", b"<html>", b'{"a":' * 3000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000, b"\xef\xbb\xbf{}", b"prompt=5&clear=1",
    "{}".encode("utf-16"),
]  # fmt: skip
WRONG_HEADERS = [
    {"Content-Type": "text/plain; charset=nonsense"},
    {"Content-Type": "multipart/form-data"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Encoding": "gzip"},
]
MARK = "«»"


def spoilt(sent) -> Iterator[bytes]:
    """The body with each of its parts replaced by each of the wrong values."""
    for marked in marked_at_each_place(sent):
        head, _, tail = json.dumps(marked, ensure_ascii=False).partition(f'"{MARK}"')
        yield from (head.encode() + value + tail.encode() for value in WRONG_VALUES)


def marked_at_each_place(value) -> Iterator:
    yield MARK
    members = value.items() if isinstance(value, dict) else ()
    for key, member in members:
        yield from (value | {key: marked} for marked in marked_at_each_place(member))
    if isinstance(value, list):
        for place, member in enumerate(value):
            for marked in marked_at_each_place(member):
                yield [*value[:place], marked, *value[place + 1 :]]


def posted_paths(served: Service) -> list[str]:
    parts = (frontend, model_lists, pictures)
    routes = [*served.server.routes(), *(route for part in parts for route in part.routes)]
    return sorted({route.path for route in routes if route.method in ("POST", "PATCH")})


def test_every_path_that_takes_a_body_is_in_the_table(served):
    (silent,) = {"/internal/logs/subscribe"}
    assert set(posted_paths(served)) == {*SENT, *BODILESS, *FILES, silent}


@pytest.mark.parametrize("path", [*SENT, *sorted(BODILESS | FILES)])
def test_no_body_at_all_causes_a_server_error(served, tmp_path, path):
    (tmp_path / "input" / "pictures").mkdir()
    RED.save(tmp_path / "input" / "pictures" / "a.png")
    asked = path.replace("{id}", "x").replace("{file}", "a.json").replace("{to}", "b.json")
    bodies = [*WRONG_BODIES, *spoilt(SENT.get(path, {}))]
    tries = [(body, {}) for body in bodies]
    tries += [(body, header) for body in (b"{", b'{"a": 1}') for header in WRONG_HEADERS]
    for body, headers in tries:
        status, answer, _ = served.ask("POST", f"/api{asked}", body, headers)
        assert status < 500, (path, body[:200], headers, answer[:200])
        if status == 400 and "Content-Encoding" not in headers:
            error = json.loads(answer)["error"]
            said = error if isinstance(error, str) else f"{error['message']}: {error['details']}"
            assert " " in said and "Error" not in said and "object has no" not in said, said
    for looked_at in ("prompt", "queue", "history", "jobs", "settings", "system_stats"):
        served.get(f"/api/{looked_at}")  # nothing of it is left that cannot be shown
    assert served.ended(served.queue(("Say", {"words": "still here"})))["status"]["completed"]


BAD_BODIES = [
    ("/prompt", b'{"prompt": {"1": 5}}', "Node 1 cannot run: it is 5. A node is an object"),
    ("/prompt", b'{"prompt": {"1": null}}', "Node 1 cannot run: it is null."),
    ("/prompt", b'{"prompt": ' + DEEP + b"}", "nested more than 100 levels deep"),
    ("/prompt", b'{"prompt": 5}', '/api/prompt: "prompt" is 5; give an object.'),
    ("/prompt", b"{}", 'Nothing to run: the request has no "prompt".'),
    ("/queue", b'{"delete": 5}', '"delete" is 5; give a list of texts.'),
    ("/queue", b'{"delete": [{}]}', '"delete" is [{}]; give a list of texts.'),
    ("/queue", b"[{}]", "/api/queue takes a JSON object, not [{}]."),
    ("/history", b'{"delete": 5}', '"delete" is 5; give a list of texts.'),
    ("/history", b"[{}]", "takes a JSON object"),
    ("/history", b"{", "/api/history takes JSON, and this is none:"),
    ("/free", b'{"a": NaN}', "NaN is no number of JSON"),
    ("/settings", b'{"a": "\\ud800"}', "holds half of a surrogate pair"),
    ("/settings", b'{"a": 1e999}', "larger than any that a computer calculates with"),
    ("/interrupt", b'{"prompt_id": ["x"]}', '"prompt_id" is ["x"]; give a text.'),
]


@pytest.mark.parametrize(("path", "body", "words"), BAD_BODIES)
def test_a_bad_body_is_refused_with_what_is_wrong_and_what_is_right(served, path, body, words):
    status, answer, _ = served.ask("POST", f"/api{path}", body)
    error = json.loads(answer)["error"]
    said = error if isinstance(error, str) else f"{error['message']}: {error['details']}"
    assert status == 400 and words in said


def test_null_counts_as_missing(served):
    sent = {name: None for name in SENT["/prompt"]} | {"prompt": {"1": SAY}}
    assert served.post("/api/prompt", sent)[0] == 200
    for path in ("queue", "history"):
        assert served.post(f"/api/{path}", {"clear": None, "delete": None})[0] == 200
    assert served.post("/api/settings", {"a": None})[0] == 200
    assert "a" in served.get("/api/settings")


def test_a_socket_that_says_nonsense_stays_open(served):
    async def listen() -> list:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{served.address}/ws?clientId=me") as socket:
                for said in (DEEP.decode(), "{", "5", '{"type": "feature_flags", "data": 5}'):
                    await socket.send_str(said)
                await socket.send_json({"type": "feature_flags", "data": {}})
                return [(await socket.receive_json())["type"] for _ in range(2)]

    assert asyncio.run(asyncio.wait_for(listen(), 20)) == ["status", "feature_flags"]


# Running


def test_a_prompt_is_run_and_its_editor_gets_every_event_in_order(served):
    said = heard(
        served,
        lambda: served.queue(("Say", {"words": "hello"}), client_id="me"),
        "execution_success",
    )
    order = ["execution_start", "execution_cached", "executing", "executed", "execution_success"]
    assert [name for name, _ in said if name in order] == order
    assert dict(said)["executed"]["output"] == {"text": ["hello"]}
    assert said[0][1]["sid"] == "me"


def test_history_and_jobs_list_the_outputs_of_a_prompt(served):
    prompt_id = served.queue(("Say", {"words": "hello"}), extra_data={"extra_pnginfo": {}})
    entry = served.ended(prompt_id)
    assert entry["outputs"] == {"1": {"text": ["hello"]}}
    assert entry["status"]["status_str"] == "success"
    (job,) = served.get("/api/jobs?status=completed&sort_order=desc")["jobs"]
    assert (job["id"], job["preview_output"]["content"]) == (prompt_id, "hello")
    assert served.get(f"/api/jobs/{prompt_id}")["workflow"]["prompt"]["1"]["class_type"] == "Say"
    assert served.post("/api/history", {"delete": [prompt_id]})[0] == 200
    assert served.get("/api/history") == {}


def test_a_failing_node_is_reported_and_the_next_prompt_runs(served):
    failed = served.ended(served.queue(("Say", {"words": "fail"})))
    events = dict(failed["status"]["messages"])
    assert events["execution_error"]["exception_message"] == "these words cannot be said"
    assert not failed["status"]["completed"]
    assert served.ended(served.queue(("Say", {"words": "again"})))["status"]["completed"]


def test_a_prompt_that_cannot_run_is_refused_with_the_nodes_reasons(served):
    status, answer = served.post("/api/prompt", {"prompt": {"1": {"class_type": "Say"}}})
    assert status == 400
    assert answer["node_errors"]["1"]["errors"][0]["type"] == "required_input_missing"
    assert served.post("/api/prompt", {})[1]["error"]["type"] == "no_prompt"


def test_only_requested_outputs_run(served):
    pair = [("Say", {"words": "one"}), ("Say", {"words": "two"})]
    assert served.ended(served.queue(*pair, partial_execution_targets=["2"]))["outputs"] == {
        "2": {"text": ["two"]}
    }


def test_a_running_prompt_is_interrupted_and_waiting_ones_are_removed(served):
    running_id, waiting_id = (served.queue(("Wait", {})) for _ in range(2))
    served.until_it_waits()
    assert served.post("/api/interrupt", {"prompt_id": waiting_id})[0] == 200
    assert served.post("/api/queue", {"delete": [waiting_id]})[0] == 200
    assert served.get("/api/prompt") == {"exec_info": {"queue_remaining": 1}}
    assert served.post(f"/api/jobs/{running_id}/cancel", {})[1] == {"cancelled": True}
    assert "execution_interrupted" in dict(served.ended(running_id)["status"]["messages"])
    assert served.get("/api/jobs")["jobs"][0]["status"] == "cancelled"
    assert served.post(f"/api/jobs/{running_id}/cancel", {})[1] == {"cancelled": False}


def test_a_stop_that_comes_too_late_stops_nothing_else():
    jobs = Jobs()
    jobs.add(Job(number=1, prompt_id="late", prompt={}, extra_data={}, outputs=[]))
    jobs.take()
    jobs.interrupt()
    assert is_interrupted()
    jobs.finish({"outputs": {}, "meta": {}}, completed=True, messages=[])
    assert not is_interrupted()


@pytest.mark.parametrize("metadata", [True, False])
def test_previews_reach_the_editor_in_the_form_that_it_reads(served, metadata):
    def run():
        prompt_id = served.queue(("Wait", {}), client_id="me")
        served.until_it_waits()
        time.sleep(0.3)  # until its picture is out
        served.post("/api/interrupt", {})
        return prompt_id

    said = heard(
        served, run, "execution_interrupted", features={"supports_preview_metadata": metadata}
    )
    (message,) = [data for name, data in said if name == "binary"]
    kind, second = struct.unpack(">II", message[:8])
    if metadata:
        assert kind == 4 and json.loads(message[8 : 8 + second])["node_id"] == "1"
    else:
        assert (kind, second) == (1, 1)
    picture = Image.open(BytesIO(message[8 + (second if metadata else 0) :]))
    assert picture.format == "JPEG" and picture.size == RED.size, "not enlarged"
    state = [data for name, data in said if name == "progress_state"][-1]["nodes"]["1"]
    assert (state["value"], state["max"], state["state"]) == (3, 10, "running")


def test_a_reloaded_editor_is_told_what_runs(served):
    served.queue(("Wait", {}), client_id="me")
    served.until_it_waits()
    said = heard(served, lambda: None, "progress_state")
    assert [name for name, _ in said[:3]] == ["status", "execution_start", "executing"]
    served.post("/api/interrupt", {})


def test_nodes_can_ask_what_runs_and_what_waits(served):
    assert editor.queued_prompts() == []
    waiting = served.queue(("Wait", {}))
    said = served.queue(("Say", {"words": "after it"}))
    kinds = [[node["class_type"] for node in each.values()] for each in editor.queued_prompts()]
    assert kinds == [["Wait"], ["Say"]]
    served.until_it_waits()
    served.post("/api/interrupt", {})
    served.ended(waiting), served.ended(said)
    assert editor.queued_prompts() == []


def test_events_from_nodes_reach_every_editor_unless_they_are_no_json(served):
    def act():
        editor.send_event("hypernet.test", {"loss": float("nan")})
        editor.send_event("hypernet.test", {"loss": 0.5})

    assert heard(served, act, "hypernet.test")[-1] == ("hypernet.test", {"loss": 0.5})


def test_routes_of_the_pack_are_answered_with_json_files_and_sentences(served, tmp_path):
    picture = tmp_path / "output" / "a.png"
    RED.save(picture)
    page = tmp_path / "output" / "a.html"
    page.write_text("<script>alert(1)</script>")

    def answer(query, body):
        if query.get("fail"):
            raise ValueError(f"{query['fail']} is not known")
        return {"picture": picture, "page": page}.get(query.get("want"), {"body": body})

    with editor.collected_routes() as routes:
        editor.add_route("GET", "/hypernet/test", answer)
        editor.add_route("POST", "/hypernet/test", answer)
        with running(again := Server([Say], served.server.frontend, routes)) as address:
            service = Service(again, address)
            assert service.post("/hypernet/test", {"a": 1}) == (200, {"body": {"a": 1}})
            assert service.get("/api/hypernet/test") == {"body": None}
            status, body, _ = service.ask("GET", "/hypernet/test?fail=x")
            assert (status, json.loads(body)) == (400, {"error": "x is not known"})
            status, body, headers = service.ask("GET", "/hypernet/test?want=picture")
            assert body == picture.read_bytes() and headers["Content-Type"] == "image/png"
            headers = service.ask("GET", "/hypernet/test?want=page")[2]
            assert headers["Content-Disposition"].startswith("attachment")
            assert "html" not in headers["Content-Type"]


# Templates


def test_a_browser_that_comes_for_the_first_time_opens_the_first_template(served):
    def ask(path: str, **headers: str):
        server = http.client.HTTPConnection(served.address.removeprefix("http://"))
        server.request("GET", path, headers=headers)
        answer = server.getresponse()
        return answer.status, answer.headers

    status, headers = ask("/")
    assert status == 302
    assert headers["Location"] == "/?template=first_network_demo&source=hypernet"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert ask(headers["Location"])[0] == 200
    assert ask("/", Cookie=cookie.partition(";")[0])[0] == 200


def test_templates_are_listed_in_order_with_titles_in_the_language(served):
    assert served.get("/api/workflow_templates") == {}  # or they would be listed twice
    (english,), (chinese,), (french,) = (
        served.get(f"/templates/index{language}.json") for language in ("", ".zh", ".fr")
    )
    names = [each["name"] for each in english["templates"]]
    assert names[0] == "first_network_demo"
    assert sorted(names) == sorted(path.stem for path in EXAMPLES.glob("*.json"))
    assert [each["name"] for each in chinese["templates"]] == names
    assert french == english
    assert chinese["templates"][2]["title"] == "训练风格"
    for name in names:
        for ending in ("json", "jpg"):
            address = f"/api/workflow_templates/{english['moduleName']}/{name}.{ending}"
            assert served.ask("GET", address)[0] == 200


# Files


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/extensions/hypernet/..%2fpyproject.toml",
        "/extensions/hypernet/%2fetc%2fpasswd",
        "/api/workflow_templates/hypernet/..%2fpyproject.toml",
        "/api/view?filename=..%2fsecret.txt",
        "/api/view?filename=secret.txt&subfolder=..",
        "/api/view?filename=secret.txt&subfolder=..&type=input",
        "/api/view?filename=..%2fsecret.txt+[input]",
        "/api/view?filename=%2fetc%2fpasswd",
        "/api/view?filename=secret.txt&type=..",
        "/api/view?filename=secret%00.txt",
        "/api/userdata/..%2f..%2fsecret.txt",
        "/api/userdata?dir=..%2f..",
        "/api/v2/userdata?path=..%2f..",
        "/api/models/..",
        "/api/experiment/models/..%2f..",
        "/api/view_metadata/..?filename=secret.safetensors",
        "/docs/..%2f..%2fsecret.txt",
    ],
)
def test_no_path_leads_out_of_the_folders(served, path):
    status, body, _ = served.ask("GET", path)
    assert status in (400, 404), body
    assert b"secret\n" not in body and body != b"secret" and b"root:" not in body


def test_nothing_is_written_or_deleted_outside_the_folders(served, tmp_path):
    for path in ("/api/userdata/..%2f..%2fx.txt", "/api/userdata/a.txt/move/..%2f..%2fx.txt"):
        assert served.ask("POST", path, b"x")[0] in (400, 404)
    assert served.ask("DELETE", "/api/userdata/..%2f..%2fsecret.txt")[0] == 400
    for fields in (
        {"subfolder": ".."},
        {"subfolder": "/etc"},
        {"type": "output"},
        {"type": "temp"},
    ):
        assert served.upload("x.txt", b"x", **fields)[0] == 400
    assert served.upload("../../x.txt", b"x") == (
        200,
        {"name": "x.txt", "subfolder": "", "type": "input"},
    )
    assert not list(tmp_path.glob("x.txt")) and (tmp_path / "secret.txt").exists()


def test_case_08_pictures_behind_a_link_can_be_uploaded_and_viewed(served, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "input").mkdir(exist_ok=True)
    (tmp_path / "input" / "private").symlink_to(disk, target_is_directory=True)
    assert served.upload("a.png", b"picture", subfolder="private")[0] == 200
    assert (disk / "a.png").read_bytes() == b"picture"
    asked = "/api/view?filename=a.png&subfolder=private&type=input"
    assert served.ask("GET", asked)[1] == b"picture"
    out = "/api/view?filename=secret.txt&subfolder=private%2f..%2f..&type=input"
    assert served.ask("GET", out)[0] == 400


def test_the_users_files_may_be_links_and_stay_links(served, tmp_path):
    kept, elsewhere = tmp_path / "user" / "default" / "workflows", tmp_path / "elsewhere"
    kept.mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "a.json").write_bytes(b"old")
    (kept / "linked").symlink_to(elsewhere, target_is_directory=True)
    (kept / "a.json").symlink_to(elsewhere / "a.json")
    found = served.get("/api/userdata?dir=workflows&recurse=true")
    assert sorted(found) == ["a.json", "linked/a.json"]
    assert served.ask("POST", "/api/userdata/workflows%2fa.json", b"new")[0] == 200
    assert (elsewhere / "a.json").read_bytes() == b"new" and (kept / "a.json").is_symlink()
    assert served.ask("DELETE", "/api/userdata/workflows%2fa.json")[0] == 204
    assert (elsewhere / "a.json").exists() and not (kept / "a.json").exists()


def test_an_uploaded_picture_is_saved_once_and_can_be_viewed(served, tmp_path):
    file = BytesIO()
    RED.save(file, "PNG")
    content = file.getvalue()
    assert served.upload("é.png", content)[1]["name"] == "é.png"
    assert served.upload("é.png", content)[1]["name"] == "é.png"
    assert served.upload("é.png", content + b" ")[1]["name"] == "é (1).png"
    assert served.upload("é.png", b"new", overwrite="true")[1]["name"] == "é.png"
    assert sorted(path.name for path in (tmp_path / "input").iterdir()) == ["é (1).png", "é.png"]
    asked = "/api/view?filename=%C3%A9%20(1).png&type=input"
    assert served.ask("GET", asked)[1] == content + b" "
    small = Image.open(BytesIO(served.ask("GET", f"{asked}&preview=webp;50")[1]))
    assert (small.format, small.size) == ("WEBP", RED.size)
    assert served.get("/api/internal/files/input") == ["é.png [input]", "é (1).png [input]"]


def test_files_that_a_browser_would_run_are_sent_as_downloads(served, tmp_path):
    for name in ("a.html", "a.svg", "a.js", "a.xhtml"):
        (tmp_path / "output" / name).write_text("<script>alert(1)</script>")
        headers = served.ask("GET", f"/api/view?filename={name}")[2]
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"].startswith("attachment")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_workflows_and_settings_are_stored_as_in_comfyui(served, tmp_path):
    assert served.post("/api/settings/Comfy.Locale", "zh")[0] == 200
    assert served.post("/api/settings", {"a": 1})[0] == 200
    assert served.get("/api/settings/Comfy.Locale") == "zh"
    kept = json.loads((tmp_path / "user" / "default" / "comfy.settings.json").read_text())
    assert kept["a"] == 1

    path = "/api/userdata/workflows%2Fmine.json"
    assert served.ask("POST", path, b"{}")[1] == b'"workflows/mine.json"'
    assert served.ask("POST", f"{path}?overwrite=false", b"[]")[0] == 409
    assert served.ask("GET", path)[1] == b"{}"
    (about,) = served.get("/api/userdata?dir=workflows&recurse=true&full_info=true")
    assert (about["path"], about["size"]) == ("mine.json", 2)
    assert served.get("/api/userdata?dir=workflows&split=true") == [["mine.json", "mine.json"]]
    assert served.ask("POST", f"{path}/move/workflows%2Fours.json")[0] == 200
    assert [entry["path"] for entry in served.get("/api/v2/userdata")] == [
        "workflows",
        "comfy.settings.json",
        "workflows/ours.json",
    ]
    assert served.ask("DELETE", "/api/userdata/workflows%2Fours.json")[0] == 204
    assert served.ask("GET", "/api/userdata/workflows%2Fours.json")[0] == 404


def test_models_are_listed_by_folder(served, tmp_path):
    (tmp_path / "models" / "loras" / "a").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "a" / "b.safetensors").write_bytes(b"123")
    (tmp_path / "models" / "loras" / "c.txt").write_bytes(b"")
    assert served.get("/api/models/loras") == ["a/b.safetensors"]
    assert served.get("/api/experiment/models/loras")[0]["size"] == 3
    assert served.ask("GET", "/api/models/nothing")[0] == 404


def test_object_info_says_which_pack_a_node_is_from(served):
    described = served.get("/api/object_info")
    assert set(described) == {"Say", "Wait"}
    assert described["Say"]["python_module"] == "custom_nodes.hypernet"
    assert served.get("/api/object_info/Say") == {"Say": described["Say"]}


def test_the_packs_blueprints_are_listed_and_read(served):
    listed = served.get("/api/global_subgraphs")
    ((key, entry),) = listed.items()
    assert entry["name"] == "Train a Hypernetwork" and "data" not in entry
    found = served.get(f"/api/global_subgraphs/{quote(key)}")
    assert json.loads(found.pop("data"))["definitions"]["subgraphs"]
    assert found == entry
    assert served.get("/api/global_subgraphs/nothing") is None


def test_core_nodes_are_listed_as_comfyuis_own(tmp_path):
    with folders.configured(models=tmp_path):
        described = Server(CORE_NODES, tmp_path).host.descriptions(["KSampler"])
    assert described["KSampler"]["python_module"] == "nodes"


def test_unknown_paths_give_a_404(served):
    for path in ("/api/customnode/getlist", "/api/nothing", "/nothing.js"):
        assert served.ask("GET", path)[0] == 404


# Who may ask


HERE = "127.0.0.1:8188"


@pytest.mark.parametrize(
    ("headers", "loopback", "allowed"),
    [
        ({"Host": HERE}, True, True),
        ({"Host": "localhost:8188"}, True, True),
        ({"Host": "[::1]:8188"}, True, True),
        ({"Host": HERE, "Origin": f"http://{HERE}"}, True, True),
        ({"Host": "localhost", "Origin": "http://localhost:80"}, True, True),
        ({"Host": HERE, "Origin": "http://evil.example"}, True, False),
        ({"Host": HERE, "Origin": "http://127.0.0.1:9999"}, True, False),
        ({"Host": HERE, "Origin": "null"}, True, False),
        ({"Host": HERE, "Sec-Fetch-Site": "cross-site"}, True, False),
        ({"Host": HERE, "Sec-Fetch-Site": "same-origin"}, True, True),
        ({"Host": "evil.example:8188"}, True, False),
        ({"Host": "127.0.0.1.evil.example"}, True, False),
        ({}, True, False),
        ({"Host": "my-machine:8188", "Origin": "http://my-machine:8188"}, False, True),
        ({"Host": "my-machine:8188", "Origin": "http://evil.example"}, False, False),
    ],
)
def test_only_pages_of_this_server_may_ask(headers, loopback, allowed):
    reason = refusal(headers, opens_page=False, loopback=loopback)
    assert (reason is None) == allowed, reason


def test_a_link_on_another_site_may_only_open_the_editor(served):
    away = {"Sec-Fetch-Site": "cross-site"}
    assert served.ask("GET", "/", headers=away)[0] == 200
    assert served.ask("GET", "/api/queue", headers=away)[0] == 403
    assert served.ask("POST", "/api/interrupt", headers=away)[0] == 403
    assert served.ask("GET", "/ws", headers={"Origin": "http://evil.example"})[0] == 403
    assert served.ask("GET", "/", headers={"Host": "evil.example"})[0] == 403


def test_the_editor_may_only_request_from_this_server(served):
    policy = served.ask("GET", "/")[2]["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "http:" not in policy and "https:" not in policy


def test_graphs_of_strangers_may_only_read_in_the_hosts_folders(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    places = {"input": tmp_path / "input", "output": tmp_path / "output", "models": tmp_path}
    with folders.configured(**places):
        assert folders.dataset_folders() is None
        assert folders.find_checkpoint(str(elsewhere)) == elsewhere
        with folders.configured(fenced=True):
            assert folders.dataset_folders() == [places["input"], places["output"]]
            with pytest.raises(FileNotFoundError, match="elsewhere"):
                folders.find_checkpoint(str(elsewhere))


# Words


def test_a_missing_editor_is_reported_with_how_to_install_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"index\.html"):
        frontend_folder(tmp_path)


def test_our_translations_are_merged_as_the_editor_expects(tmp_path):
    for language, file, words in (
        ("en", "main", {"hypernet": {"stop": "Stop"}}),
        ("zh", "main", {"hypernet": {"stop": "停止"}}),
        ("zh", "nodeDefs", {"HypernetTrain": {"display_name": "训练超网络"}}),
    ):
        (tmp_path / language).mkdir(exist_ok=True)
        (tmp_path / language / f"{file}.json").write_text(json.dumps(words), "utf-8")
    assert translations(tmp_path) == {
        "en": {"hypernet": {"stop": "Stop"}},
        "zh": {
            "hypernet": {"stop": "停止"},
            "nodeDefs": {"HypernetTrain": {"display_name": "训练超网络"}},
        },
    }
