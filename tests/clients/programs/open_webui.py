"""Open WebUI with the daemon as its only provider: no accounts, no downloads, no retrieval."""

import json
import os
import sys
from pathlib import Path

url, key = os.environ["DAEMON_URL"], os.environ["DAEMON_KEY"]
SETTINGS = {
    "DATA_DIR": str(Path.home() / "open-webui"),
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "of this run",
    "ENABLE_PERSISTENT_CONFIG": "False",
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "ENABLE_OLLAMA_API": "False",
    "ENABLE_VERSION_UPDATE_CHECK": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "SCARF_NO_ANALYTICS": "True",
    "DO_NOT_TRACK": "True",
    # Its own models for retrieval would be downloaded.
    "RAG_EMBEDDING_ENGINE": "openai",
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "True",
    # The second connection lists a model of its own, as an administrator may, which the daemon does not have.
    "OPENAI_API_BASE_URLS": f"{url};{url}",
    "OPENAI_API_KEYS": f"{key};{key}",
    "OPENAI_API_CONFIGS": json.dumps({"1": {"enable": True, "model_ids": ["no-such-model"]}}),
    "DEFAULT_MODELS": "near-agent",
}
# Beside the interpreter, which may be a link.
program = str(Path(sys.executable).parent / "open-webui")
Path(SETTINGS["DATA_DIR"]).mkdir(parents=True, exist_ok=True)
os.execve(program, [program, "serve", "--host", "127.0.0.1", "--port", os.environ["PORT"]], {**os.environ, **SETTINGS})
