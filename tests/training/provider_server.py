"""A scripted fine-tuning provider on loopback, in the published shapes of OpenAI's files and fine-tuning routes.

It checks every request body against the published document, keeps what it was sent, walks a job through its statuses one
poll at a time, and serves the tuned model's chat completions from a table of texts. Faults are scripted by name.
"""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.judges.openapi_judge import Judge

STATUSES = ("validating_files", "queued", "running", "succeeded")


@dataclass
class ProviderState:
    """What the server was sent and how it shall behave."""

    plans: dict[str, list[tuple[str, dict[str, Any]]]] = field(
        default_factory=dict[str, list[tuple[str, dict[str, Any]]]]
    )
    """User text -> tool calls that the tuned model answers with."""
    faults: list[str] = field(default_factory=list[str])
    """`drop_job_answer`: the job is made and the connection cut; `drop_file_answer`; `model_not_found`; `failed_job`."""
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict[str, tuple[str, bytes]])
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    polls: dict[str, int] = field(default_factory=dict[str, int])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    completions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    problems: list[str] = field(default_factory=list[str])
    """What the published document says against the requests."""
    judge: Judge = field(default_factory=lambda: Judge("openai-spec-min.json"))
    url: str = ""
    answering: threading.Event = field(default_factory=threading.Event)
    """Cleared, completions wait until it is set."""

    def __post_init__(self) -> None:
        self.answering.set()

    def take(self, fault: str) -> bool:
        if fault in self.faults:
            self.faults.remove(fault)
            return True
        return False


@contextmanager
def serving_provider() -> Generator[ProviderState]:
    """A running server; its address is `state.url`."""
    state = ProviderState()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.answering.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: ProviderState
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.state.headers.append(dict(self.headers.items()))
        match urlsplit(self.path).path:
            case "/v1/files":
                self._create_file(body)
            case "/v1/fine_tuning/jobs":
                self._create_job(json.loads(body))
            case "/v1/chat/completions":
                self._complete(json.loads(body))
            case path:
                self._answer(404, _error(f"no route {path}", "not_found"))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        match parts.path.split("/")[2:]:
            case ["files"]:
                self._answer(200, _page([self._file(file_id) for file_id in self.state.files]))
            case ["fine_tuning", "jobs"]:
                wanted = next((values[0] for key, values in query.items() if key.startswith("metadata")), None)
                jobs = [job for job in self.state.jobs.values() if wanted in job["metadata"].values()]
                self._answer(200, _page(jobs))
            case ["fine_tuning", "jobs", job_id] if job_id in self.state.jobs:
                self._answer(200, self._polled(job_id))
            case ["fine_tuning", "jobs", job_id, "events"]:
                self._answer(200, _page(self._events(job_id)))
            case _:
                self._answer(404, _error(f"nothing at {parts.path}", "not_found"))

    def _create_file(self, body: bytes) -> None:
        message = BytesParser().parsebytes(
            b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body
        )
        fields = {
            part.get_param("name", header="content-disposition"): part
            for part in message.walk()
            if not part.is_multipart()
        }
        assert fields["purpose"].get_payload() == "fine-tune"
        file_id = f"file-{len(self.state.files) + 1}"
        content = fields["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        self.state.files[file_id] = (str(fields["file"].get_filename()), content)
        if self.state.take("drop_file_answer"):
            self.close_connection = True
            return
        self._answer(200, self._file(file_id))

    def _create_job(self, body: dict[str, Any]) -> None:
        self.state.problems += self.state.judge.request("post", "/fine_tuning/jobs", body)
        if self.state.take("model_not_found"):
            self._answer(400, _error(f"Model {body['model']} is not available for fine-tuning", "model_not_available"))
            return
        job_id = f"ftjob-{len(self.state.jobs) + 1}"
        self.state.jobs[job_id] = _job(job_id, body)
        if self.state.take("drop_job_answer"):
            self.close_connection = True
            return
        self._answer(200, self.state.jobs[job_id])

    def _polled(self, job_id: str) -> dict[str, Any]:
        job, poll = self.state.jobs[job_id], self.state.polls.get(job_id, 0)
        self.state.polls[job_id] = poll + 1
        job["status"] = STATUSES[min(poll, len(STATUSES) - 1)]
        if "failed_job" in self.state.faults:
            reason = "Training file has 7 example(s), but must have at least 10 examples"
            job |= {
                "status": "failed",
                "error": {"code": "invalid_n_examples", "message": reason, "param": "training_file"},
            }
        elif job["status"] == "succeeded":
            job |= {
                "fine_tuned_model": f"ft:{job['model']}:org::{job_id}",
                "trained_tokens": 1000,
                "finished_at": 1_790_000_100,
            }
        self.state.problems += self.state.judge.schema("FineTuningJob", job)
        return job

    def _events(self, job_id: str) -> list[dict[str, Any]]:
        count = self.state.polls.get(job_id, 0)
        return [
            {
                "id": f"ftevent-{number}",
                "object": "fine_tuning.job.event",
                "created_at": 1_790_000_000 + number,
                "level": "info",
                "message": f"Step {number}",
                "type": "message",
            }
            for number in range(count, 0, -1)
        ]

    def _complete(self, body: dict[str, Any]) -> None:
        self.state.completions.append(body)
        self.state.answering.wait()
        said = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
        calls = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
            for n, (name, args) in enumerate(self.state.plans.get(said, []))
        ]
        message = {"role": "assistant", "content": None if calls else "I do not know.", "refusal": None}
        choice = {
            "index": 0,
            "message": {**message, "tool_calls": calls} if calls else message,
            "finish_reason": "tool_calls" if calls else "stop",
            "logprobs": None,
        }
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": body["model"]}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        self._answer(200, {**answer, "choices": [choice], "usage": usage})

    def _file(self, file_id: str) -> dict[str, Any]:
        name, content = self.state.files[file_id]
        described = {
            "id": file_id,
            "object": "file",
            "bytes": len(content),
            "created_at": 1_790_000_000,
            "filename": name,
        }
        return {**described, "purpose": "fine-tune", "status": "processed"}

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Quiet."""


def _page(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": data, "has_more": False}


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _job(job_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": job_id,
        "object": "fine_tuning.job",
        "created_at": 1_790_000_000,
        "finished_at": None,
        "model": body["model"],
        "fine_tuned_model": None,
        "organization_id": "org-1",
        "status": "validating_files",
        "hyperparameters": {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"},
        "training_file": body["training_file"],
        "validation_file": body.get("validation_file"),
        "result_files": [],
        "trained_tokens": None,
        "seed": body.get("seed", 0),
        "error": None,
        "estimated_finish": None,
        "integrations": [],
        "metadata": body.get("metadata", {}),
        "method": body["method"],
    }
