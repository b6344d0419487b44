"""Every place from which outside text comes into cards and answers."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from agent.answers import rpc_text, step_text
from agent.approval import GasBound
from agent.card import Proposal, Waiting, card_facts, card_text, how_to_decide
from agent.findings import findings_of
from agent.records import Reply
from contracts.calls import ChangeCall, FunctionCall
from contracts.chain.effects import NEAR
from contracts.chain.outcome import (
    Declined,
    Effect,
    Execution,
    ExecutionFailed,
    Failed,
    Finalized,
    NotDone,
    PartiallyExecuted,
    Unconfirmed,
    ViewReturned,
)
from contracts.checks.report import Balance, Check, PreflightReport, Simulated
from contracts.checks.verdict import Reason, Recipient, Verdict
from contracts.errors import RpcError
from contracts.knowledge.inert import inert
from contracts.knowledge.registry import Registry
from contracts.types import TGAS, AccountId, CryptoHash, Gas, Yocto
from tests.agent.world import Agent, FakeReads, open_agent
from tests.rendering.drawing import quoted

ALICE, TOKEN = AccountId("alice.localnet"), AccountId("a_b-c.tg")
BLOCK: Final = CryptoHash.of(b"block")
_REGISTRIES: Final = (Registry.for_network("localnet"), Registry.for_network("mainnet"))


def cards(text: str) -> Iterator[str]:
    """A card with the text wherever a card quotes, and each way to decide it."""
    said = inert(text)  # what the catalogue and the checks write of outside text
    report = PreflightReport(
        block_height=1,
        block_hash=BLOCK,
        checks=(Check("code", "unknown", text, 0), Check(said, "unknown", text)),
        simulated=(Simulated("partial", text, effects=(Effect(ALICE, TOKEN, 1, token_id=text),)),),
        balances=(Balance(ALICE, NEAR, 10**25 + 1, 3), Balance(TOKEN, TOKEN, 1, 2)),
        asks=(),
        rpc_calls=0,
        own_ms=0.0,
        compile_ms=0.0,
    )
    verdict = Verdict(
        "ask",
        (Reason("rule", "ask", f"{said} is new"),),
        recipients=(Recipient("bob~~x.tg", text, text), Recipient("b_o_b.tg", "receiver")),
    )
    call = ChangeCall(TOKEN, (FunctionCall(text, b"{}", Gas(TGAS), Yocto(1)),))
    proposal = Proposal(
        request_id="01990000-0000-7000-8000-000000000001",
        network="localnet",
        signer_id=ALICE,
        summaries=[f"mint NFT “{said}” of {TOKEN}", f"{said} {said}"],
        notes=[f"warning: {said}", f"memo: {said}"],
        calls=[call, call],
        calls_hash="ab12cd34ef56" + "0" * 52,
        bound=GasBound(TGAS, 10**20 + 1),
        expires_at=1_800_000_000.0,
        findings=findings_of(report, ALICE, _REGISTRIES[0], TGAS),
        verdict=verdict,
        warnings=[said],
    )
    shown = card_text(card_facts(proposal))
    for waiting in (
        Waiting("7Z4K9QXA"),
        Waiting(None, elsewhere=True),
        Waiting(None, approvers=2, approved_by=("key-a/" + said,), is_mine=True, repeated=True),
    ):
        yield f"{shown}\n{how_to_decide(proposal.request_id, proposal.expires_at, waiting)}"


def outcomes(text: str) -> Iterator[str]:
    """Each end of a transaction with the text as value, message, token and id."""
    for registry in _REGISTRIES:
        effects = (Effect(ALICE, TOKEN, 1, token_id=text), Effect(ALICE, TOKEN, -1, token_id="old"))
        execution = Execution(BLOCK, 101, BLOCK, ALICE, TOKEN, text, (), effects, 1, 1)
        call = ChangeCall(TOKEN, (FunctionCall("nft_transfer", text.encode(errors="replace"), Gas(TGAS), Yocto(1)),))
        summary = f"send NFT “{inert(text)}” to b_o_b.tg"
        for outcome in (
            Finalized(execution),
            PartiallyExecuted(execution, text),
            ExecutionFailed(execution, "FunctionCallError", text),
            Failed("send", "refused", text, BLOCK),
            Failed("unknown", "refused", text, None),
            Unconfirmed(BLOCK, text),
            Declined("the approval expired"),
            NotDone("an earlier step did not succeed"),
            ViewReturned({text: [text, 1.5, {"a": text}]}, 1, BLOCK),
        ):
            yield step_text(summary, outcome, registry)
            yield step_text(summary, outcome, registry, call)
        for code in ("CONTRACT_EXECUTION_ERROR", "TRANSPORT", "RPC_DISAGREE", "UNKNOWN_BLOCK"):
            yield rpc_text("/contract_view", RpcError(code, text))


class SayingReads(FakeReads):
    """Contracts that answer and fail in somebody else's words."""

    said: str = ""

    def value(self, contract_id: str, method: str, args: bytes) -> JsonValue:
        match method:
            case "get_num":
                return {"title": self.said, self.said: [self.said]}
            case "fail":
                raise RpcError("CONTRACT_EXECUTION_ERROR", self.said)
            case "nft_token" if not self.said:
                return None
            case "nft_metadata" | "nft_tokens_for_owner" | "nft_token":
                token: JsonValue = {"token_id": self.said, "owner_id": "bob.localnet", "metadata": {"title": self.said}}
                return [token] if method == "nft_tokens_for_owner" else token
            case "ft_metadata" if self.said:
                return {"spec": "ft-1.0.0", "name": self.said, "symbol": self.said, "decimals": 6}
            case _:
                return super().value(contract_id, method, args)


@asynccontextmanager
async def open_saying(folder: Path) -> AsyncGenerator[tuple[Agent, SayingReads]]:
    reads = SayingReads()
    reads.balances |= {"odd_one.localnet": 10**28, "a_b-c.localnet": 10**28}
    reads.codes["nft.localnet"] = reads.codes["odd_one.localnet"] = b"code"
    async with open_agent(folder, reads=reads) as agent:
        yield agent, reads


async def answers(agent: Agent, reads: SayingReads, text: str) -> list[Reply]:
    """Answers of the whole pipeline to the text in each argument, and to contracts that say it."""
    word = quoted(text)
    commands = (
        f"/ft_transfer USDC a_b-c.localnet 1 memo={word}",
        f"/nft_mint nft.localnet {word} bob.localnet title={word}",
        f"/contract_call odd_one.localnet {word} {{}}",
        f"/near_transfer {word} 1",
        f"/near_transfer bob.localnet {word}",
        f"/near_balance {word}",
        f"/{word} x",
        f"/help {word}",
        f"/tx_status {word}",
        f"/cancel {word}",
    )
    replies = [await agent.ask(command) for command in commands]
    replies.append(await agent.ask(text or "?"))
    reads.said = text
    said = (
        "/contract_view odd_one.localnet get_num",
        "/contract_view odd_one.localnet fail",
        "/ft_metadata odd_one.localnet",
        "/ft_balance odd_one.localnet bob.localnet",
        "/ft_transfer odd_one.localnet bob.localnet 1",
        "/nft_tokens nft.localnet bob.localnet",
        f"/nft_transfer nft.localnet bob.localnet {word}",
    )
    replies += [await agent.ask(command) for command in said]
    reads.said = ""
    replies.append(await agent.ask("/cards"))
    replies.append(await agent.ask("/cancel all"))
    return replies
