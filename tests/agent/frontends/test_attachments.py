"""Images and other content that is not text: alone it is refused, beside text the answer says that it was not read."""

import json
from typing import Any

import aiohttp
import pytest

from tests.agent.frontends.scripted import served
from tests.agent.frontends.test_chat_completions import HELLO, events, post

IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
AUDIO: dict[str, Any] = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
FILE: dict[str, Any] = {"type": "file", "file": {}}
WORDS: dict[str, Any] = {"type": "text", "text": "pay this invoice"}


def asking(*content: dict[str, Any]) -> dict[str, Any]:
    return {**HELLO, "messages": [{"role": "user", "content": [*content]}]}


@pytest.mark.parametrize(
    ("content", "kind"),
    [([IMAGE], "image"), ([IMAGE, IMAGE], "image"), ([{"type": "text", "text": " "}, AUDIO], "audio"), ([], None)],
)
async def test_without_text_nothing_is_asked(
    http: aiohttp.ClientSession, content: list[dict[str, Any]], kind: str | None
) -> None:
    async with served() as api:
        status, body, _ = await post(http, api, asking(*content))
        assert api.pipeline.requests == []
    assert (status, body["error"]["code"]) == (400, "invalid_value")
    assert body["error"]["param"] == "messages[0].content"
    assert "text only" in body["error"]["message"]
    assert kind is None or kind in body["error"]["message"]


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        ([WORDS, IMAGE], "The image was not read; only text is."),
        ([IMAGE, IMAGE, WORDS], "The image was not read; only text is."),
        ([IMAGE, WORDS, AUDIO], "The image and the audio were not read; only text is."),
        ([FILE, WORDS], "The file was not read; only text is."),
        ([{"type": "hologram"}, WORDS], "The attachment was not read; only text is."),
    ],
)
async def test_beside_text_it_is_said_not_to_be_read(
    http: aiohttp.ClientSession, content: list[dict[str, Any]], remark: str
) -> None:
    async with served() as api:
        _, body, _ = await post(http, api, asking(*content))
        lines = await events(http, api, {**asking(*content), "stream": True})
    text = f"you said: pay this invoice\n\n{remark}"
    assert body["choices"][0]["message"]["content"] == text
    chunks = [json.loads(line[6:]) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == text


async def test_an_image_that_was_spoken_of_before_is_not_mentioned_again(http: aiohttp.ClientSession) -> None:
    history = [*asking(WORDS, IMAGE)["messages"], {"role": "user", "content": "/near_balance"}]
    async with served() as api:
        _, body, _ = await post(http, api, {**HELLO, "messages": history})
    assert body["choices"][0]["message"]["content"] == "you said: /near_balance"


async def test_a_title_stays_a_title(http: aiohttp.ClientSession) -> None:
    prompt = {"type": "text", "text": "Generate a concise title for this conversation.\nUser: hi\nAssistant: hello"}
    async with served() as api:
        _, body, _ = await post(http, api, asking(prompt, IMAGE))
    assert "not read" not in body["choices"][0]["message"]["content"]
