"""A model server in a process of its own that always makes the same tool call: `python -m tests.bench.scripted_model`."""

import asyncio
import json
import signal
import sys
from typing import Final

from aiohttp import web

from tests.model_server import call

ACCOUNT_ID: Final = "bob.localnet"
_ANSWER: Final = json.dumps(call("near_balance", account_id=ACCOUNT_ID).body).encode()


async def _complete(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=_ANSWER, content_type="application/json")


async def serve() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"ready http://127.0.0.1:{runner.addresses[0][1]}/v1\n")
    sys.stdout.flush()
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
