"""What editors and scripts ask of the queue: to add prompts, to look, to take out, to stop."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..graph.node_class import ComfyNode
from ..graph.validation import validate_prompt
from .bodies import NUMBER, OBJECT, TEXT, TEXTS, read_object
from .jobs import Job, Jobs

PROMPT = {
    "prompt": OBJECT,
    "prompt_id": TEXT,
    "client_id": TEXT,
    "number": NUMBER,
    "partial_execution_targets": TEXTS,
    "extra_data": OBJECT,
    "extra_data.client_id": TEXT,
    "extra_data.extra_pnginfo": OBJECT,
    "extra_data.extra_pnginfo.workflow": OBJECT,
}


class QueueRoutes:
    def __init__(self, jobs: Jobs, nodes: Mapping[str, type[ComfyNode]]):
        self.jobs = jobs
        self.nodes = nodes

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/prompt", self.get_prompt),
            web.post("/prompt", self.post_prompt),
            web.get("/queue", self.get_queue),
            web.post("/queue", self.post_queue),
            web.get("/history", self.get_history),
            web.get("/history/{id}", self.get_history_entry),
            web.post("/history", self.post_history),
            web.post("/interrupt", self.interrupt),
            web.get("/jobs", self.get_jobs),
            web.get("/jobs/{id}", self.get_job),
            web.post("/jobs/cancel", self.cancel_jobs),
            web.post("/jobs/{id}/cancel", self.cancel_job),
        ]

    # Prompts that come in

    async def get_prompt(self, request: web.Request) -> web.Response:
        return web.json_response(self.status())

    async def post_prompt(self, request: web.Request) -> web.Response:
        asked = await read_object(request, PROMPT)
        status, content = await asyncio.to_thread(self.queue, asked)
        return web.json_response(content, status=status)

    def status(self) -> dict:
        return {"exec_info": {"queue_remaining": self.jobs.left()}}

    def queue(self, asked: dict[str, Any]) -> tuple[int, dict]:
        """Queue what was posted to /prompt. Returns the status and content of the answer."""
        prompt = asked.get("prompt")
        if prompt is None:
            return 400, _refusal("no_prompt", "Nothing to run", 'the request has no "prompt".')
        prompt_id = asked.get("prompt_id") or str(uuid.uuid4())
        if self.jobs.knows(prompt_id):
            fault = f'the prompt_id "{prompt_id}" is taken. Give another, or none.'
            return 400, _refusal("invalid_prompt_id", "The prompt was not queued", fault)
        only = asked.get("partial_execution_targets")
        good, error, outputs, node_errors = validate_prompt(prompt, self.nodes, only)
        if not good:
            return 400, {"error": error, "node_errors": node_errors}
        extra = (asked.get("extra_data") or {}) | {"create_time": int(time.time() * 1000)}
        if "client_id" in asked:
            extra["client_id"] = asked["client_id"]
        number = asked.get("number")
        if number is None:
            number = self.jobs.number(front=bool(asked.get("front")))
        self.jobs.add(Job(float(number), prompt_id, prompt, extra, outputs))
        return 200, {"prompt_id": prompt_id, "number": number, "node_errors": node_errors}

    # What waits and what is done

    async def get_queue(self, request: web.Request) -> web.Response:
        running, waiting = ([job.as_list() for job in jobs] for jobs in self.jobs.queue())
        return web.json_response({"queue_running": running, "queue_pending": waiting})

    async def post_queue(self, request: web.Request) -> web.Response:
        asked = await read_object(request, {"delete": TEXTS})
        if asked.get("clear"):
            self.jobs.clear()
        self.jobs.remove(asked.get("delete") or ())
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        most, offset = request.query.get("max_items"), request.query.get("offset", -1)
        return web.json_response(self.jobs.history(int(most) if most else None, int(offset)))

    async def get_history_entry(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        history = self.jobs.history()
        return web.json_response({name: history[name]} if name in history else {})

    async def post_history(self, request: web.Request) -> web.Response:
        asked = await read_object(request, {"delete": TEXTS})
        if asked.get("clear"):
            self.jobs.forget()
        self.jobs.forget(asked.get("delete") or ())
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        kinds = {"prompt_id": TEXT}
        asked = await read_object(request, kinds) if request.can_read_body else {}
        self.jobs.interrupt(asked.get("prompt_id"))
        return web.Response()

    # The same as newer editors ask for it

    async def get_jobs(self, request: web.Request) -> web.Response:
        return web.json_response(_page_of_jobs(self.jobs.summaries(), request.query))

    async def get_job(self, request: web.Request) -> web.Response:
        job = self.jobs.details(request.match_info["id"])
        if job:
            return web.json_response(job)
        return web.json_response({"error": "Job not found"}, status=404)

    async def cancel_jobs(self, request: web.Request) -> web.Response:
        asked = await read_object(request, {"job_ids": TEXTS})
        cancelled = [self.jobs.cancel(each) for each in asked.get("job_ids") or ()]
        return web.json_response({"cancelled": any(cancelled)})

    async def cancel_job(self, request: web.Request) -> web.Response:
        return web.json_response({"cancelled": self.jobs.cancel(request.match_info["id"])})


def _refusal(kind: str, message: str, details: str) -> dict:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return {"error": error, "node_errors": {}}


def _page_of_jobs(jobs: list[dict], query: Mapping[str, str]) -> dict:
    wanted = [word for word in query.get("status", "").lower().split(",") if word]
    workflow = query.get("workflow_id")
    jobs = [
        job
        for job in jobs
        if (not wanted or job["status"] in wanted)
        and (not workflow or job.get("workflow_id") == workflow)
    ]

    def duration(job: dict) -> int:
        return job.get("execution_end_time", 0) - job.get("execution_start_time", 0)

    by_duration = query.get("sort_by") == "execution_duration"
    key = duration if by_duration else lambda job: job.get("create_time", 0)
    jobs.sort(key=key, reverse=query.get("sort_order", "desc").lower() != "asc")
    offset = max(0, int(query.get("offset", 0)))
    limit = int(query["limit"]) if "limit" in query else None
    page = jobs[offset : None if limit is None else offset + limit]
    more = offset + len(page) < len(jobs)
    place = {"offset": offset, "limit": limit, "total": len(jobs), "has_more": more}
    return {"jobs": page, "pagination": place}
