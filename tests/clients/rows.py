"""The clients of the matrix."""

import sys

from tests.clients.child_programs import OPEN_WEBUI, PROGRAMS, PYTHON, node_program, python_program, served_program
from tests.clients.curl import open_curl
from tests.clients.seams import Row

_NO_MODEL_LIST = "the library has no call for the list of models"
_NO_JSON = "the chat page shows an answer's text and asks for no JSON"

ROWS: tuple[Row, ...] = (
    Row("openai (Python)", python_program("openai_py", sys.executable), {}),
    Row("openai (JavaScript)", node_program("openai_js"), {}),
    Row("AI SDK, chat completions", node_program("ai_sdk", "chat"), {"models": _NO_MODEL_LIST}),
    Row("AI SDK, Responses", node_program("ai_sdk", "responses"), {"models": _NO_MODEL_LIST}),
    Row("LangChain", python_program("with_langchain"), {"models": _NO_MODEL_LIST}),
    Row("LlamaIndex", python_program("with_llama_index"), {"models": _NO_MODEL_LIST}),
    Row(
        "llm",
        python_program("with_llm", sys.executable),
        {
            "models": "llm lists the models of its configuration, and asks only OpenAI's own address for others",
            "regenerate": "llm cannot have a prompt answered again within its conversation",
        },
    ),
    Row(
        "chainlit",
        served_program(
            (
                str(PYTHON),
                "-m",
                "chainlit",
                "run",
                "--headless",
                "--host=127.0.0.1",
                "--port={port}",
                str(PROGRAMS / "chainlit_app.py"),
            ),
            "chainlit_tab",
        ),
        {"structured output": _NO_JSON},
    ),
    Row(
        "gradio",
        served_program((str(PYTHON), str(PROGRAMS / "gradio_app.py")), "gradio_tab"),
        {"structured output": _NO_JSON},
    ),
    Row(
        "Open WebUI, API",
        served_program((str(OPEN_WEBUI), str(PROGRAMS / "open_webui.py")), "open_webui_api", titles=True),
        {},
    ),
    Row(
        "Open WebUI in Chromium",
        served_program((str(OPEN_WEBUI), str(PROGRAMS / "open_webui.py")), "open_webui_page", titles=True),
        {"structured output": _NO_JSON},
    ),
    Row("curl", open_curl, {}),
)
