"""`policy check`, `policy explain`, approvals with a key of one's own, and the people of a shared key over HTTP."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.data_folder import DaemonAddress, lock_folder, write_address
from tests.agent.test_cli import Cli
from tests.agent.test_daemon import config_for, started

POLICY = """version = 1
[default.limits.NEAR]
per_action = "5"
free_per_action = "1"
free_per_day = "1.5"
two_approvers_above = "3"
"""


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("policy") / "data"
    folder.mkdir()
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")
    return Cli(folder)


def test_check_says_what_a_policy_means_or_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(POLICY, encoding="utf-8")
    done = cli("policy", "check", str(good))
    assert done.exit_code == 0, done.output
    assert "one action sends at most 5 NEAR" in done.stdout
    assert cli.json("policy", "check", str(good))["ok"] is True
    bad.write_text("version = 1\n[default]\nrecipents.deny = []", encoding="utf-8")
    failed = cli("policy", "check", str(bad))
    assert failed.exit_code == 2
    assert "line 3: default.recipents is not a known key; nearest: recipients" in failed.stderr
    assert cli("policy", "check", str(tmp_path / "none.toml")).exit_code == 2
    assert cli("policy", "check", str(good), "--network", "devnet").exit_code == 2
    bad.write_bytes(b"\xff\xfe")
    assert "UTF-8" in cli("policy", "check", str(bad)).stderr


def test_check_says_that_a_running_daemon_has_not_read_the_file_yet(tmp_path: Path) -> None:
    policy, quiet = tmp_path / "policy.toml", Cli(tmp_path)
    policy.write_text(POLICY, encoding="utf-8")
    assert quiet.json("policy", "check", str(policy))["needs_restart"] is False
    with lock_folder(tmp_path):
        write_address(
            tmp_path, DaemonAddress(pid=os.getpid(), url="http://127.0.0.1:9", rpc_url="", network="localnet")
        )
        started_at = (tmp_path / "daemon.json").stat().st_mtime
        os.utime(policy, (started_at - 60, started_at - 60))
        assert quiet.json("policy", "check", str(policy))["needs_restart"] is False
        os.utime(policy, (started_at + 60, started_at + 60))
        assert "a policy counts from the next start" in quiet("policy", "check", str(policy)).stdout


def test_explain_tells_the_rules_that_decided(cli: Cli) -> None:
    asked = cli.json("ask", "/near_transfer bob.localnet 1", exit_code=3)
    words = cli("policy", "explain", asked["request_id"])
    assert words.exit_code == 0, words.output
    assert "It had to be approved (needs_approval)." in words.stdout
    assert "ask   always_ask.first_recipient: bob.localnet: nothing has been sent there before" in words.stdout
    assert cli.json("approve", asked["confirm_code"])["status"] == "executed"
    free = cli.json("ask", "/near_transfer bob.localnet 0.25")
    assert free["status"] == "executed"
    words = cli("policy", "explain", free["request_id"])
    assert "It went without asking (executed)." in words.stdout
    assert "counted in default.limits.NEAR.free_per_day: 1.5 NEAR in 24 h" in words.stdout
    denied = cli.json("ask", "/near_transfer bob.localnet 6", exit_code=2)
    explained = cli.json("policy", "explain", denied["request_id"])
    assert explained["verdict"]["decision"] == "deny"
    assert [one["rule"] for one in explained["verdict"]["reasons"] if one["decision"] == "deny"] == [
        "default.limits.NEAR.per_action"
    ]
    view = cli.json("ask", "/near_balance bob.localnet")
    assert "The policy was not asked" in cli("policy", "explain", view["request_id"]).stdout
    assert cli("policy", "explain", "nobody").exit_code == 2


def test_a_second_person_approves_with_a_key_of_their_own(cli: Cli, tmp_path: Path) -> None:
    card = cli.json("ask", "/near_transfer bob.localnet 4", exit_code=3)
    assert cli.json("approve", card["confirm_code"], exit_code=3)["status"] == "needs_approval"
    made = cli.json("api-keys", "create", "--account", "alice.localnet")
    key_file = tmp_path / "key"
    key_file.write_text(made["api_key"], encoding="utf-8")
    listed = cli("approve", "--list", "--key-file", str(key_file))
    assert card["request_id"] in listed.stdout, listed.output
    done = cli.json("approve", card["request_id"], "--key-file", str(key_file))
    assert done["status"] == "executed"
    key_file.write_text("na_nobody", encoding="utf-8")
    assert cli("approve", card["request_id"], "--key-file", str(key_file)).exit_code != 0
    key_file.write_bytes(b"\x00\n\x00")
    assert cli("approve", "--list", "--key-file", str(key_file)).exit_code == 2


def test_a_policy_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "policy.toml").write_text("version = 3", encoding="utf-8")
    done = Cli(folder)("ask", "/near_balance bob.localnet")
    assert done.exit_code == 2
    assert "policy.toml" in done.stderr
    named = Cli(tmp_path / "other")("ask", "/help", NEAR_AGENT_POLICY__FILE=str(tmp_path / "none.toml"))
    assert named.exit_code == 2
    assert "none.toml" in named.stderr


SHARED = """version = 1
[default]
user_header = "X-OpenWebUI-User-Id"
[default.limits.NEAR]
ask_elsewhere_above = "2"
"""


async def test_over_http_each_person_of_a_shared_key_has_their_own_cards(tmp_path: Path) -> None:
    config = config_for(tmp_path / "data")
    config.data_dir.mkdir()
    (config.data_dir / "policy.toml").write_text(SHARED, encoding="utf-8")
    async with started(config) as daemon, aiohttp.ClientSession() as http:

        async def say(text: str, user: str | None) -> dict[str, Any]:
            headers = daemon.headers() | ({} if user is None else {"X-OpenWebUI-User-Id": user})
            body = {"model": "near-agent", "messages": [{"role": "user", "content": text}]}
            async with http.post(f"{daemon.url}/v1/chat/completions", json=body, headers=headers) as answered:
                return (await answered.json())["near_agent"]

        async def approvals(headers: Mapping[str, str], body: object = None) -> tuple[int, dict[str, Any]]:
            method = "GET" if body is None else "POST"
            async with http.request(method, f"{daemon.url}/v1/near/approvals", json=body, headers=headers) as answered:
                return answered.status, await answered.json()

        anna = await say("/near_transfer bob.localnet 1", "anna")
        for other in ("ben", None, "anna b", "x" * 200):
            assert (await say(f"confirm {anna['confirm_code']}", other))["status"] == "refused"
        assert (await say(f"confirm {anna['confirm_code']}", "anna"))["status"] == "executed"

        card = await say("/near_transfer bob.localnet 3", "anna")
        assert "confirm_code" not in card
        assert (await approvals({}))[0] == 401
        assert (await approvals({"Authorization": "Bearer na_x"}, {"request_id": card["request_id"]}))[0] == 401
        assert (await approvals(daemon.headers(), {"request": 1}))[0] == 400
        _, listed = await approvals(daemon.headers())
        assert [one["request_id"] for one in listed["cards"]] == [card["request_id"]]
        assert "confirm " not in json.dumps(listed)
        # The key that asked is no other channel, and nobody's second person, where it leaves the person out.
        _, done = await approvals(daemon.headers(), {"request_id": card["request_id"]})
        assert done["near_agent"]["status"] == "refused"
