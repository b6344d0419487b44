"""`llm` on the command line, which keeps its conversations in a database of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from lines import serve, setup

access = setup()
folder = Path(tempfile.mkdtemp(dir="."))
models_known = ("near-agent", "no-such-model")
(folder / "extra-openai-models.yaml").write_text(
    "\n".join(
        f"- model_id: {name}\n  model_name: {name}\n  api_base: {access['base_url']}\n  api_key_name: near\n  supports_schema: true"
        for name in models_known
    )
)
environment = {**os.environ, "LLM_USER_PATH": str(folder), "PYTHONUNBUFFERED": "1"}


def command(asked, *options):
    later = ["--continue"] if len(asked["messages"]) > 1 else []
    text = asked["messages"][-1]["content"]
    return [sys.executable, "-m", "llm", "-m", asked["model"], "--key", access["key"], *later, *options, text]


def run(line):
    done = subprocess.run(line, check=False, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def ask(asked):
    return {"text": run(command(asked, "--no-stream"))}


def stream(asked):
    return {"pieces": re.split(r"(?<=\n)", run(command(asked)))}


def leave(asked):
    with subprocess.Popen(command(asked), env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
    return {}


def structured(asked):
    prompt = {"model": "near-agent", "messages": [{"content": asked["prompt"]}]}
    return {"value": json.loads(run(command(prompt, "--no-stream", "--schema", json.dumps(asked["schema"]))))}


serve(ask=ask, stream=stream, leave=leave, structured=structured)
