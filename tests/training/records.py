"""Records for tests: one request each, as the daemon writes them."""

import json
from typing import Any

from agent.preamble import Tools
from agent.records import CallPlan, Identity, InteractionRecord, ModelExchange, PlannedCall, Route, Turn, UserRequest

ALICE = Identity(key_id="key-1", account_id="alice.localnet", may_confirm=True)


def record(
    number: int,
    text: str,
    calls: list[tuple[str, dict[str, Any]]],
    *,
    status: Any = "answered",
    conversation: str | None = None,
    words: bool = True,
    approval_of: str | None = None,
) -> InteractionRecord:
    """A finished request; `words` gives it a model exchange, else it is a slash command."""
    request = UserRequest(
        request_id=f"request-{number:04}",
        text=text,
        turns=(Turn(role="user", content=text),),
        identity=ALICE,
        front_end="chat_completions",
        conversation_id=conversation or f"conversation-{number}",
        received_at=1_790_000_000.0 + number,
    )
    plan = CallPlan(
        calls=tuple(PlannedCall(action=action, args=args) for action, args in calls), plan_hash=f"{number:064}"
    )
    exchange = ModelExchange(
        target="standard",
        model="m",
        messages=[{"role": "system", "content": "You plan NEAR calls."}, {"role": "user", "content": text}],
        tools=Tools(()),
        response=json.loads(json.dumps({"role": "assistant", "content": None})),
        finish_reason="tool_calls",
        prompt_tokens=1,
        completion_tokens=1,
        latency_ms=1.0,
    )
    return InteractionRecord(
        request=request,
        status=status,
        text="done",
        route=Route(target="standard" if words else "none", model="m" if words else None, reason="test"),
        exchanges=(exchange,) if words else (),
        plan=plan if calls else None,
        approval_of=approval_of,
        finished_at=1_790_000_001.0 + number,
    )


def balance(number: int, **options: Any) -> InteractionRecord:
    """A view that answered."""
    account = f"user{number}.localnet"
    return record(number, f"how much NEAR has {account}?", [("near_balance", {"account_id": account})], **options)
