"""What pre-flight costs for each kind of change, as its reports say, and what the policy costs."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from agent.data_folder import DATABASE_NAME
from agent.records import read_records
from contracts.calls import ChangeCall, Transfer
from contracts.checks.policy import Subject, judge
from contracts.checks.policy_file import parse_policy
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, Yocto
from tests.bench.figures import Figure, percentile
from tests.bench.processes import Running, daemon_command, running

_ROUNDS: Final = 8
_JUDGED: Final = 2_000
_COMMANDS: Final = (
    "/near_transfer bob.localnet 1.5",
    "/ft_transfer token=USDC receiver_id=carol.localnet amount=12.5",
    "/near_wrap 2",
    "/storage_deposit USDC carol.localnet",
    "/nft_mint contract_id=nft.localnet token_id=bench title=Bench",
    "/stake pool.localnet 100",
    "/dao_propose_transfer dao_id=dao.localnet description=Rent receiver_id=bob.localnet amount=1",
    "/swap token_in=USDC token_out=wNEAR amount=3",
    "/contract_call contract_id=counter.localnet method_name=increment",
)
_POLICY: Final = """version = 1
[address_book]
bob = "bob.localnet"
[default]
max_deposit_near = "10"
[default.recipients]
deny = ["*.bad.localnet"]
[default.limits.NEAR]
per_action = "10"
per_day = "100"
free_per_action = "1"
free_per_day = "5"
"""


def preflight_figures(folder: Path) -> list[Figure]:
    """Medians of own time, and the requests to nodes, warm; compiling apart."""
    data_dir = folder / "preflight"
    data_dir.mkdir()
    with running(daemon_command(data_dir), folder / "preflight.log") as daemon:
        key = (data_dir / "api_key").read_text().strip()
        for command in _COMMANDS:
            for turn in range(_ROUNDS):
                _card_and_cancel(daemon, key, command, turn)
    figures: list[Figure] = []
    compiled_ms: list[float] = []
    for command in _COMMANDS:
        name = command.partition(" ")[0].removeprefix("/")
        reports = [
            record.preflight
            for record in read_records(data_dir / DATABASE_NAME)
            if record.preflight is not None and record.request.text == command
        ]
        if len(reports) != _ROUNDS:
            raise RuntimeError(f"{command}: {len(reports)} reports for {_ROUNDS} cards")
        compiled_ms.append(max(report.compile_ms for report in reports))
        own_ms = percentile([report.own_ms for report in reports[1:]], 0.5)
        figures += [
            Figure(f"{name}: own time, median", own_ms, "ms", 50),
            Figure(f"{name}: requests to nodes, at most", max(report.rpc_calls for report in reports), "", 8),
        ]
    return [*figures, Figure("compiling a contract, once, longest", max(compiled_ms), "ms"), _policy_figure()]


def _policy_figure() -> Figure:
    policy = parse_policy(_POLICY, Registry.for_network("localnet"))
    subject = Subject(
        network="localnet",
        identity="bench",
        signer_id=AccountId("alice.localnet"),
        calls=(ChangeCall(AccountId("bob.localnet"), (Transfer(Yocto(10**23)),)),),
        gas_yocto=(10**20,),
        known=frozenset({"bob.localnet"}),
    )
    began = time.perf_counter()
    for _ in range(_JUDGED):
        judge(policy, subject)
    return Figure("policy, one transfer judged", (time.perf_counter() - began) * 1e6 / _JUDGED, "us", 50)


def _card_and_cancel(daemon: Running, key: str, command: str, turn: int) -> None:
    card = _say(daemon, key, command, f"{command} {turn}")
    if card["status"] != "needs_approval":
        raise RuntimeError(f"{command}: {card}")
    _say(daemon, key, f"cancel {card['confirm_code']}", f"{command} {turn}")


def _say(daemon: Running, key: str, text: str, conversation: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{daemon.url}/v1/chat/completions",
        json.dumps({"model": "near-agent", "messages": [{"role": "user", "content": text}]}).encode(),
        {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "X-Near-Agent-Conversation": conversation,
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["near_agent"]
