"""Which model serves, and which key goes where."""

import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from agent.config import ModelConfig, ModelsConfig
from agent.models.serving import Models, SpecialistFile
from agent.preamble import Preamble, Tools
from tests.model_server import open_model_server, say

NOTHING = Preamble("You plan NEAR calls.", Tools(()))
ENV = {"STANDARD_KEY": "standard-secret", "SPECIAL_KEY": "specialist-secret"}


def section(base_url: str, model: str, variable: str | None = None) -> ModelConfig:
    values = {"base_url": base_url, "model": model, "api_key_env": variable, "timeout_s": 5.0}
    return ModelConfig.model_validate(values, context=ENV)


def write(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def test_the_file_is_seen_replaced_and_gone(tmp_path: Path) -> None:
    path = tmp_path / "specialist.json"
    file = SpecialistFile(path)
    assert file.current() is None
    for model in ("a", "b", "c"):
        write(path, json.dumps({"model": model, "base_url": "http://127.0.0.1:1/v1", "run_id": "r", "promoted_at": 1}))
        current = file.current()
        assert current is not None
        assert current.model == model
    for broken in (
        "",
        "{",
        '{"model": "x"}',
        '{"model": "", "base_url": "http://x/v1"}',
        '{"model": "x", "base_url": "x"}',
    ):
        write(path, broken)
        assert file.current() is None
    path.unlink()
    assert file.current() is None


async def test_the_promoted_adapter_overrides_the_configured_one(tmp_path: Path) -> None:
    async with AsyncExitStack() as closing:
        config = ModelsConfig(specialist=section("http://127.0.0.1:1/v1", "configured"))
        models = Models(config, SpecialistFile(tmp_path / "s.json"), monotonic=time.monotonic, closing=closing)
        assert models.standard() is None
        configured = models.specialist()
        assert configured is not None
        assert configured.model == "configured"
        write(tmp_path / "s.json", json.dumps({"model": "promoted", "base_url": "http://127.0.0.1:2/v1/"}))
        promoted = models.specialist()
        assert promoted is not None
        assert (promoted.model, promoted.target) == ("promoted", "specialist")
        assert models.specialist() is promoted  # one client for one endpoint and model


async def test_a_key_goes_only_to_the_address_it_was_given_for(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(open_model_server([say("a"), say("b")]))
        theirs = await stack.enter_async_context(open_model_server([say("c")]))
        closing = await stack.enter_async_context(AsyncExitStack())
        config = ModelsConfig(
            standard=section(ours.base_url, "m", "STANDARD_KEY"), specialist=section(ours.base_url, "s", "SPECIAL_KEY")
        )
        models = Models(config, SpecialistFile(tmp_path / "s.json"), monotonic=time.monotonic, closing=closing)
        for provider in (models.standard(), models.specialist()):
            assert provider is not None
            assert (await provider.complete(NOTHING, [{"role": "user", "content": "hi"}])).error is None
        write(tmp_path / "s.json", json.dumps({"model": "promoted", "base_url": theirs.base_url}))
        promoted = models.specialist()
        assert promoted is not None
        await promoted.complete(NOTHING, [{"role": "user", "content": "hi"}])
        assert [headers["authorization"] for headers in ours.headers] == [
            "Bearer standard-secret",
            "Bearer specialist-secret",
        ]
        assert theirs.headers[0]["authorization"] == "Bearer none"
        assert "tools" not in theirs.requests[0]


async def test_an_adapter_in_a_private_network_is_not_reached_unless_the_configuration_names_it(tmp_path: Path) -> None:
    async with AsyncExitStack() as closing:
        path = tmp_path / "s.json"
        for base_url in ("http://169.254.169.254/v1", "http://10.0.0.1:9/v1"):
            write(path, json.dumps({"model": "promoted", "base_url": base_url}))
            models = Models(ModelsConfig(), SpecialistFile(path), monotonic=time.monotonic, closing=closing)
            specialist = models.specialist()
            assert specialist is not None
            answer = await specialist.complete(NOTHING, [{"role": "user", "content": "hello"}])
            assert answer.exchange.error is not None
            assert "not an address of the public internet" in answer.exchange.error


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    async with AsyncExitStack() as closing:
        await runner.setup()
        closing.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        config = ModelsConfig(standard=section(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "m", "STANDARD_KEY"))
        models = Models(config, SpecialistFile(tmp_path / "s.json"), monotonic=time.monotonic, closing=closing)
        standard = models.standard()
        assert standard is not None
        told = await standard.complete(NOTHING, [{"role": "user", "content": "hello"}])
        assert told.exchange.error is not None
        assert "307" in told.exchange.error
    assert asked == ["/v1/chat/completions"]
