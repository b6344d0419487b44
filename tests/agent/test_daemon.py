"""The daemon in this process, with its embedded chain, over HTTP."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.config import Config, load_config
from agent.daemon import run_daemon
from agent.data_folder import FolderInUse, read_address, running_daemon
from agent.errors import ConfigError, DaemonError
from agent.records import read_records
from agent.runtime import open_runtime
from contracts.types import AccountId
from tests.doubles import generate_key_file


def config_for(folder: Path, **overrides: Any) -> Config:
    config = folder.parent / "empty.toml"
    config.touch()
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    fixed = {"daemon.data_dir": folder, "daemon.listen": "127.0.0.1:0", "localnet.listen": "127.0.0.1:0"}
    return load_config(config, {}, {**fixed, **keys})


@dataclass
class Started:
    config: Config
    lines: list[str] = field(default_factory=list[str])
    up: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False

    def announce(self, line: str) -> None:
        self.lines.append(line)
        self.up.set()

    def stop(self) -> None:
        """SIGTERM, once: a second one would find no handler and end the tests."""
        if not self.stopped:
            self.stopped = True
            os.kill(os.getpid(), signal.SIGTERM)

    @property
    def url(self) -> str:
        return self.lines[0].removeprefix("ready ")

    def headers(self, key_file: str = "api_key") -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.config.data_dir / key_file).read_text()}"}

    async def say(self, http: aiohttp.ClientSession, text: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        body = {"model": "near-agent", "messages": [{"role": "user", "content": text}], **fields}
        async with http.post(f"{self.url}/v1/chat/completions", json=body, headers=self.headers()) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def started(config: Config) -> AsyncGenerator[Started]:
    """A ready daemon; ended by SIGTERM unless it has ended by then."""
    this = Started(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_daemon(config, announce=this.announce))
        async with asyncio.timeout(240):
            await this.up.wait()
        yield this
        this.stop()


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=240)) as session:
        yield session


async def test_running_requests_finish_while_new_ones_are_turned_away(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    folder = tmp_path / "data"
    config = config_for(folder, localnet__finality_lag_blocks=3, localnet__heartbeat_s=0.4)
    async with started(config) as daemon:
        _, card = await daemon.say(http, "/near_transfer bob.localnet 1")
        body = {
            "model": "near-agent",
            "stream": True,
            "messages": [{"role": "user", "content": f"confirm {card['near_agent']['confirm_code']}"}],
        }
        async with http.post(f"{daemon.url}/v1/chat/completions", json=body, headers=daemon.headers()) as stream:
            first = await stream.content.readline()
            assert first.startswith(b"data:")
            daemon.stop()
            while (answer := await daemon.say(http, "/near_balance @me"))[0] == 200:
                await asyncio.sleep(0.01)
            assert (answer[0], answer[1]["error"]["code"]) == (503, "draining")
            assert running_daemon(folder) is None
            rest = (await stream.read()).decode()
    final = json.loads(rest.split("data: ")[-2])
    assert final["near_agent"]["status"] == "executed"
    assert rest.endswith("data: [DONE]\n\n")
    assert [r.status for r in read_records(config.database_path) if r.request.text.startswith("confirm")] == [
        "executed"
    ]


def sent(config: Config) -> bool:
    """Whether the ledger has a transaction that was sent."""
    with closing(sqlite3.connect(config.database_path)) as ledger:
        return ledger.execute("SELECT 1 FROM intents WHERE state IN ('sent', 'included')").fetchone() is not None


async def test_what_does_not_finish_within_the_grace_is_recorded_and_settled_later(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    folder = tmp_path / "data"
    slow = config_for(folder, localnet__finality_lag_blocks=1000, localnet__heartbeat_s=60, daemon__grace_s=0)
    async with started(slow) as daemon:
        _, card = await daemon.say(http, "/near_transfer bob.localnet 1")
        text = f"confirm {card['near_agent']['confirm_code']}"
        async with asyncio.TaskGroup() as tasks:
            confirmed = tasks.create_task(daemon.say(http, text))
            while not sent(slow):
                await asyncio.sleep(0.02)
            daemon.stop()
            status, answer = await confirmed
        assert (status, answer["error"]["code"]) == (503, "draining")
    async with started(config_for(folder)) as daemon:
        _, again = await daemon.say(http, text)
    assert again["near_agent"]["status"] == "executed"
    kept = [record for record in read_records(slow.database_path) if record.approval_of]
    assert [record.status for record in kept] == ["unconfirmed", "executed"]
    assert kept[0].request.request_id != kept[1].request.request_id
    assert kept[0].call_outcomes[0].tx_hash == again["near_agent"]["outcomes"][0]["tx_hash"]


async def test_a_start_that_waits_can_be_ended(tmp_path: Path) -> None:
    """The node takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as node:
        address = f"http://127.0.0.1:{node.getsockname()[1]}"
        config = config_for(tmp_path / "data", networks__localnet__rpc=[address], rpc__request_timeout_s=3600)
        async with asyncio.timeout(240), asyncio.TaskGroup() as tasks:
            daemon = tasks.create_task(run_daemon(config, announce=print))
            connection, _ = await asyncio.to_thread(node.accept)
            os.kill(os.getpid(), signal.SIGTERM)
            await daemon
        connection.close()
    assert (config.data_dir / "lock").read_text() == ""
    assert read_address(config.data_dir) is None


async def test_one_folder_has_one_daemon(tmp_path: Path) -> None:
    config = config_for(tmp_path / "data")
    async with started(config) as daemon:
        with pytest.raises(FolderInUse) as caught:
            async with open_runtime(config):
                pass
        assert f"process {os.getpid()}" in str(caught.value)
        assert daemon.url in str(caught.value)
        assert running_daemon(config.data_dir) == read_address(config.data_dir)
    assert read_address(config.data_dir) is None
    assert (config.data_dir / "lock").read_text() == ""


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(DaemonError) as caught:
            await run_daemon(config_for(tmp_path / "data", daemon__listen=taken), announce=print)
    assert caught.value.code == "listen_refused"
    assert taken in str(caught.value)


async def test_the_first_key_is_made_again_where_its_file_is_gone(tmp_path: Path) -> None:
    config = config_for(tmp_path / "data")
    key_file = config.data_dir / "api_key"
    async with open_runtime(config) as runtime:
        first = key_file.read_text()
        assert runtime.first.account_id == "alice.localnet"
        assert runtime.first.may_confirm
    key_file.write_text("")
    async with open_runtime(config) as runtime:
        assert key_file.read_text() != first
        assert await runtime.store.api_keys.authenticate(first) is not None
        assert len(await runtime.store.api_keys.list()) == 2
    key_file.write_text(first)
    async with open_runtime(config) as runtime:
        assert await runtime.store.api_keys.authenticate(first) == runtime.first


async def test_the_account_must_be_named_where_several_have_keys(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    async with started(config_for(tmp_path / "chain")) as chain:
        address = read_address(chain.config.data_dir)
        assert address is not None
        outside: dict[str, Any] = {
            "networks__localnet__rpc": [address.rpc_url],
            "keys__credentials_dir": keys,
        }
        with pytest.raises(ConfigError, match="no account has a key"):
            async with open_runtime(config_for(tmp_path / "a", **outside)):
                pass
        generate_key_file(keys / "bob.localnet.json", AccountId("bob.localnet"))
        async with open_runtime(config_for(tmp_path / "b", **outside)) as runtime:
            assert runtime.first.account_id == "bob.localnet"
            assert runtime.rpc_url == address.rpc_url
        generate_key_file(keys / "carol.localnet.json", AccountId("carol.localnet"))
        with pytest.raises(ConfigError, match="NEAR_AGENT_ACCOUNT_ID"):
            async with open_runtime(config_for(tmp_path / "c", **outside)):
                pass
        async with open_runtime(config_for(tmp_path / "d", account_id="carol.localnet", **outside)) as runtime:
            assert runtime.first.account_id == "carol.localnet"
        with pytest.raises(ConfigError, match="serves localnet, configured is testnet"):
            async with open_runtime(
                config_for(tmp_path / "e", network="testnet", networks__testnet__rpc=[address.rpc_url])
            ):
                pass


async def test_an_error_of_the_code_inside_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LookupError) as caught:
        async with open_runtime(config_for(tmp_path / "data")):
            raise LookupError("as it is")
    assert caught.value.args == ("as it is",)


async def test_a_promoted_specialist_is_listed_without_a_restart(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    config = config_for(tmp_path / "data")
    async with started(config) as daemon:
        listed: list[list[str]] = []
        for content in (None, {"model": "near-1", "base_url": "http://127.0.0.1:9/v1", "run_id": "r"}, None):
            path = config.data_dir / "specialist.json"
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(json.dumps(content))
            async with http.get(f"{daemon.url}/v1/models", headers=daemon.headers()) as answer:
                listed.append([model["id"] for model in (await answer.json())["data"]])
    assert listed == [["near-agent"], ["near-agent", "near-agent-specialist"], ["near-agent"]]


async def test_many_confirmations_at_once_move_money_once(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with started(config_for(tmp_path / "data")) as daemon:
        _, before = await daemon.say(http, "/near_balance bob.localnet")
        _, card = await daemon.say(http, "/near_transfer bob.localnet 1")
        text = f"confirm {card['near_agent']['confirm_code']}"
        async with asyncio.TaskGroup() as tasks:
            told = [tasks.create_task(daemon.say(http, text, stream=False)) for _ in range(8)]
        facts = [answer["near_agent"] for _, answer in (task.result() for task in told)]
        assert {outcome["tx_hash"] for fact in facts for outcome in fact["outcomes"]} == {
            facts[0]["outcomes"][0]["tx_hash"]
        }
        _, after = await daemon.say(http, "/near_balance bob.localnet")
        moved = [int(facts["near_agent"]["outcomes"][0]["value"]["amount"]) for facts in (before, after)]
        assert moved[1] - moved[0] == 10**24


async def test_guessing_codes_ends_in_429_and_without_a_card(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with started(config_for(tmp_path / "data")) as daemon:
        _, card = await daemon.say(http, "/near_transfer bob.localnet 1")
        statuses = [(await daemon.say(http, f"confirm 0000000{guess}"))[0] for guess in range(5)]
        assert statuses == [200, 200, 200, 200, 429]
        assert (await daemon.say(http, "cancel 00000009", stream=True, stream_options={}))[0] == 429
        _, late = await daemon.say(http, f"confirm {card['near_agent']['confirm_code']}")
        assert late.get("near_agent", {"status": "refused"})["status"] in {"declined", "refused"}


async def test_an_idempotency_key_tells_the_stored_result(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with started(config_for(tmp_path / "data")) as daemon:

        async def keyed(text: str) -> tuple[int, dict[str, Any]]:
            body = {"model": "near-agent", "messages": [{"role": "user", "content": text}]}
            headers = {**daemon.headers(), "Idempotency-Key": "k1"}
            async with http.post(f"{daemon.url}/v1/chat/completions", json=body, headers=headers) as answer:
                return answer.status, await answer.json()

        _, card = await keyed("/near_transfer bob.localnet 1")
        await daemon.say(http, f"confirm {card['near_agent']['confirm_code']}")
        status, again = await keyed("/near_transfer bob.localnet 1")
        assert (status, again["near_agent"]["status"]) == (200, "executed")
        status, other = await keyed("/near_transfer bob.localnet 2")
        assert (status, other["error"]["code"]) == (409, "idempotency_conflict")


async def test_the_operator_sees_cards_without_codes_and_approves_by_request_id(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with started(config_for(tmp_path / "data")) as daemon:
        operator = daemon.headers("operator_key")

        async def call(method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
            async with http.request(
                method, daemon.url + path, json=body, headers=operator if headers is None else headers
            ) as answer:
                return answer.status, await answer.json()

        for path in ("/v1/near/cards", "/v1/near/api-keys"):
            assert (await call("GET", path, headers=daemon.headers()))[0] == 401
            assert (await call("GET", path, headers={}))[0] == 401
        status, made = await call("POST", "/v1/near/api-keys", {"account_id": "alice.localnet", "may_confirm": False})
        assert status == 200
        limited = {"Authorization": f"Bearer {made['api_key']}"}
        body = {"model": "near-agent", "messages": [{"role": "user", "content": "/near_transfer bob.localnet 2"}]}
        _, card = await call("POST", "/v1/chat/completions", body, limited)
        facts = card["near_agent"]
        assert facts["status"] == "needs_approval"
        assert "confirm_code" not in facts
        assert f"near-agent approve {facts['request_id']}" in card["choices"][0]["message"]["content"]
        _, listed = await call("GET", "/v1/near/cards")
        assert [item["request_id"] for item in listed["cards"]] == [facts["request_id"]]
        assert "confirm " not in json.dumps(listed)
        assert (await call("POST", "/v1/near/cards/approve", {"request_id": facts["request_id"]}, limited))[0] == 401
        _, done = await call("POST", "/v1/near/cards/approve", {"request_id": facts["request_id"]})
        assert done["near_agent"]["status"] == "executed"
        _, again = await call("POST", "/v1/near/cards/approve", {"request_id": facts["request_id"]})
        assert again["near_agent"]["outcomes"][0]["tx_hash"] == done["near_agent"]["outcomes"][0]["tx_hash"]
        _, unknown = await call("POST", "/v1/near/cards/approve", {"request_id": "nobody"})
        assert unknown["near_agent"]["status"] == "refused"
        assert (await call("POST", "/v1/near/cards/approve", {"request": 5}))[0] == 400
        assert (await call("POST", "/v1/near/api-keys", {"account_id": "Not An Account"}))[0] == 400
        _, keys = await call("GET", "/v1/near/api-keys")
        assert [key["may_confirm"] for key in keys["api_keys"]] == [True, False]
        assert made["api_key"] not in json.dumps(keys)
        assert (await call("DELETE", f"/v1/near/api-keys/{made['key_id']}"))[0] == 200
        assert (await call("DELETE", f"/v1/near/api-keys/{made['key_id']}"))[0] == 404
        assert (await call("POST", "/v1/chat/completions", body, limited))[0] == 401
