"""A model that answers everything with a payment: what it is asked without a person's request costs money."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAID_NEAR = "0.25"
"""Within the free allowance of the daemon under test, so that nobody is asked."""


class _Payment(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        arguments = json.dumps({"receiver_id": "bob.localnet", "amount": PAID_NEAR})
        call = {"id": "call_0", "type": "function", "function": {"name": "near_transfer", "arguments": arguments}}
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        frame = {"id": "chatcmpl-0", "object": "chat.completion", "created": 1, "model": "paying"}
        body = json.dumps({**frame, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        pass


@contextmanager
def paying_model() -> Generator[str]:
    """Serve the model; its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Payment) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
