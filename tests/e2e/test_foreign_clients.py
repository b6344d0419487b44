import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from tests.e2e.programs import LIMIT_S, RunningDaemon, daemon

CODE = re.compile("confirm ([0-9A-HJKMNP-TV-Z]{8})")
NEAR = 10**24


class Conversation:
    """Sends back the whole history with every turn, as such clients do."""

    def __init__(self, client: openai.OpenAI, *, stream: bool) -> None:
        self._client = client
        self._stream = stream
        self._history: list[Any] = [{"role": "system", "content": f"stream: {stream}"}]

    def say(self, text: str) -> tuple[str, dict[str, Any]]:
        self._history.append({"role": "user", "content": text})
        told, facts = self._streamed() if self._stream else self._created()
        self._history.append({"role": "assistant", "content": told})
        return told, facts

    def _created(self) -> tuple[str, dict[str, Any]]:
        answer = self._client.chat.completions.create(model="near-agent", messages=self._history)
        assert answer.model_extra is not None
        return answer.choices[0].message.content or "", answer.model_extra["near_agent"]

    def _streamed(self) -> tuple[str, dict[str, Any]]:
        """By the SDK's accumulating helper, with usage asked for."""
        facts: dict[str, Any] = {}
        with self._client.chat.completions.stream(
            model="near-agent", messages=self._history, stream_options={"include_usage": True}
        ) as stream:
            for event in stream:
                if event.type == "chunk" and event.chunk.model_extra:
                    facts |= event.chunk.model_extra.get("near_agent", {})
            final = stream.get_final_completion()
        assert final.choices[0].finish_reason == "stop"
        assert final.choices[0].message.role == "assistant"
        assert final.usage is not None
        return final.choices[0].message.content or "", facts


def test_the_official_client_holds_the_first_conversation(tmp_path: Path) -> None:
    with daemon(tmp_path / "data") as running, client(running) as openai_client:
        assert [model.id for model in openai_client.models.list()] == ["near-agent"]
        for stream, halves in ((False, 3), (True, 5)):
            before = running.chain_balance_yocto("bob.localnet")
            talk = Conversation(openai_client, stream=stream)
            assert "NEAR" in talk.say("/near_balance alice.localnet")[0]
            card, facts = talk.say(f"/near_transfer bob.localnet {halves / 2}")
            assert facts["status"] == "needs_approval"
            code = CODE.findall(card)[0]
            assert facts["confirm_code"] == code
            done, facts = talk.say(f"confirm {code}")
            tx_hash = facts["outcomes"][0]["tx_hash"]
            assert facts["status"] == "executed"
            assert tx_hash in done
            status, facts = talk.say(f"/tx_status {tx_hash}")
            assert "final" in status.lower()
            assert facts["status"] == "answered"
            assert talk.say(f"confirm {code}")[1]["outcomes"][0]["tx_hash"] == tx_hash
            assert running.chain_balance_yocto("bob.localnet") - before == halves * NEAR // 2
        check_errors(openai_client)


class ResponseConversation:
    """The same over the Responses API: by `create`, by `stream=True`, or by the SDK's accumulating helper."""

    def __init__(self, client: openai.OpenAI, way: str) -> None:
        self._client = client
        self._way = way
        self._input: list[Any] = []

    def say(self, text: str) -> tuple[str, dict[str, Any]]:
        self._input.append({"role": "user", "content": text})
        response = self._asked(f"way: {self._way}")
        assert response.status == "completed"
        assert response.model_extra is not None
        self._input += [item.model_dump(exclude_none=True) for item in response.output]
        return response.output_text, response.model_extra["near_agent"]

    def _asked(self, instructions: str) -> Response:
        responses, model = self._client.responses, "near-agent"
        match self._way:
            case "create":
                return responses.create(model=model, input=self._input, instructions=instructions)
            case "events":
                first, *_, last = responses.create(
                    model=model, input=self._input, instructions=instructions, stream=True
                )
                assert first.type == "response.created"
                assert last.type == "response.completed"
                return last.response
            case _:
                with responses.stream(model=model, input=self._input, instructions=instructions) as stream:
                    deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
                    final = stream.get_final_response()
                assert "".join(deltas) == final.output_text
                return final


def test_the_official_client_changes_things_over_the_responses_api(tmp_path: Path) -> None:
    with daemon(tmp_path / "data") as running, client(running) as openai_client:
        for number, way in enumerate(("create", "events", "helper"), 1):
            before = running.chain_balance_yocto("bob.localnet")
            talk = ResponseConversation(openai_client, way)
            assert "NEAR" in talk.say("/near_balance alice.localnet")[0]
            card, facts = talk.say(f"/near_transfer bob.localnet {number}")
            assert facts["status"] == "needs_approval"
            code = CODE.findall(card)[0]
            done, facts = talk.say(f"confirm {code}")
            assert facts["status"] == "executed"
            assert facts["outcomes"][0]["tx_hash"] in done
            assert talk.say(f"confirm {code}")[1]["outcomes"] == facts["outcomes"]
            assert running.chain_balance_yocto("bob.localnet") - before == number * NEAR
        first = openai_client.responses.create(model="near-agent", input="/help")
        with pytest.raises(openai.BadRequestError) as kept:
            openai_client.responses.create(model="near-agent", input="more", previous_response_id=first.id)
        assert kept.value.param == "previous_response_id"
        with pytest.raises(openai.NotFoundError):
            openai_client.responses.retrieve(first.id)
        with pytest.raises(openai.NotFoundError, match="chat/completions"):
            openai_client.embeddings.create(model="near-agent", input="words")
        with pytest.raises(openai.NotFoundError, match="chat/completions"):
            openai_client.completions.create(model="near-agent", prompt="/help")
        parsed = openai_client.chat.completions.parse(
            model="near-agent", messages=[{"role": "user", "content": TITLE_PROMPT}], response_format=Title
        )
        assert parsed.choices[0].message.parsed == Title(title="Transfer to bob.localnet", tags=["NEAR", "Transfer"])
        named = openai_client.responses.parse(model="near-agent", input=TITLE_PROMPT, text_format=Title)
        assert named.output_parsed == Title(title="Transfer to bob.localnet", tags=["NEAR", "Transfer"])


class Title(BaseModel):
    title: str
    tags: list[str]


TITLE_PROMPT = (
    "Generate a concise title for the conversation.\n<chat_history>\n"
    "USER: please send 3 NEAR to bob.localnet\nASSISTANT: Done.\n</chat_history>"
)


def client(running: RunningDaemon) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)


def check_errors(openai_client: openai.OpenAI) -> None:
    """They come as the client's own exceptions."""
    hello: list[Any] = [{"role": "user", "content": "/help"}]
    with pytest.raises(openai.NotFoundError) as unknown:
        openai_client.chat.completions.create(model="gpt-5", messages=hello)
    assert unknown.value.code == "model_not_found"
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError) as several:
        openai_client.chat.completions.create(model="near-agent", messages=hello, n=2)
    assert several.value.param == "n"
    with pytest.raises(openai.AuthenticationError):
        openai_client.with_options(api_key="na_" + "x" * 43).models.list()


def test_llm_holds_the_first_conversation(tmp_path: Path) -> None:
    """`llm` 0.36 on the command line, configured by its own file, JSON and streaming."""
    settings = tmp_path / "llm"
    settings.mkdir()
    with daemon(tmp_path / "data") as running:
        (settings / "extra-openai-models.yaml").write_text(
            f"- model_id: near-agent\n  model_name: near-agent\n  api_base: {running.url}/v1\n  api_key_name: near\n"
        )
        environ = {**os.environ, "LLM_USER_PATH": str(settings), "LLM_NEAR_KEY": running.key}

        def prompt(text: str, *options: str) -> str:
            command = [sys.executable, "-m", "llm", "prompt", "-m", "near-agent", "--key", running.key, *options, text]
            done = subprocess.run(
                command,
                env=environ,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        before = running.chain_balance_yocto("bob.localnet")
        assert "10000 NEAR" in prompt("/near_balance alice.localnet")
        code = CODE.findall(prompt("/near_transfer bob.localnet 1.5", "--no-stream"))[0]
        done = prompt(f"confirm {code}", "-c")
        tx_hash = re.findall(r"Transaction (\w+)", done)[0]
        assert running.chain_balance_yocto("bob.localnet") == before + 3 * NEAR // 2
        assert "final" in prompt(f"/tx_status {tx_hash}", "--no-stream").lower()
        assert tx_hash in prompt(f"confirm {code}", "-c")
        assert running.chain_balance_yocto("bob.localnet") == before + 3 * NEAR // 2
