"""The pre-flight in the pipeline: its findings on a card, a refusal where it would fail, a new card where facts moved."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from agent.findings import findings_of
from contracts.chain.effects import NEAR
from contracts.chain.outcome import Effect
from contracts.checks.preflight import UsedCode
from contracts.checks.report import Balance, Check, ContractSeen, PreflightReport, Simulated, unknown_report
from contracts.knowledge.exchange import PriceImpact
from contracts.knowledge.registry import Registry
from contracts.simulation.preflight import PreflightRequest
from contracts.types import TGAS, AccountId, CryptoHash
from tests.agent.world import Agent, open_agent

ALICE, BOB, USDC = AccountId("alice.localnet"), AccountId("bob.localnet"), AccountId("usdc.localnet")
ONE_NEAR = 10**24
GOOD = PreflightReport(
    block_height=100,
    block_hash=CryptoHash.of(b"block"),
    checks=(
        Check("signer", "pass", "alice.localnet exists"),
        Check("simulation", "pass", "it succeeds when simulated", 0),
    ),
    simulated=(Simulated("success", None, (), (), 580_000_000_000),),
    balances=(
        Balance(BOB, NEAR, 10 * ONE_NEAR, 11 * ONE_NEAR),
        Balance(ALICE, NEAR, 10 * ONE_NEAR, 9 * ONE_NEAR),
        Balance(BOB, USDC, 5, 5),
    ),
    asks=(),
    rpc_calls=3,
    own_ms=2.0,
    compile_ms=0.0,
)


class Foretelling:
    """A pre-flight that finds what it is told to."""

    def __init__(self, *reports: PreflightReport) -> None:
        self.reports = list(reports)
        self.asked: list[PreflightRequest] = []

    async def preflight(self, request: PreflightRequest) -> PreflightReport:
        self.asked.append(request)
        return self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]


@pytest.fixture
def foretelling() -> Foretelling:
    return Foretelling(GOOD)


@pytest.fixture
async def agent(tmp_path: Path, foretelling: Foretelling) -> AsyncGenerator[Agent]:
    async with open_agent(tmp_path, preflight=foretelling) as opened:
        yield opened


async def test_a_card_tells_the_findings_and_the_record_has_all(agent: Agent, foretelling: Foretelling) -> None:
    reply = await agent.ask("/near_transfer bob.localnet 1")
    assert reply.status == "needs_approval"
    for line in (
        "alice.localnet pays 1 NEAR: 10 → 9 NEAR",
        "bob.localnet receives 1 NEAR: 10 → 11 NEAR",
        "Simulated: it succeeds; it takes about 0.58 Tgas with a margin",
        "Checked at block 100: 2 of 2 checks passed",
    ):
        assert f"  {line}\n" in reply.text
    assert reply.card is not None
    assert reply.card.effects == findings_of(GOOD, ALICE, Registry.for_network("localnet"), TGAS).effects
    assert (await agent.record(reply)).preflight == GOOD
    (request,) = foretelling.asked
    assert (request.signer_id, len(request.calls), len(request.expected)) == (ALICE, 1, 1)
    assert request.block is None or request.block.height == 100


async def test_what_would_fail_gets_no_card_and_says_what_to_do(tmp_path: Path) -> None:
    detail = "simulated, it fails: not `today`. To correct it: send less"
    bad = replace(GOOD, checks=(*GOOD.checks, Check("simulation", "fail", detail, 0)))
    async with open_agent(tmp_path, preflight=Foretelling(bad)) as agent:
        reply = await agent.ask("/near_transfer bob.localnet 1")
        assert reply.status == "refused"
        assert reply.confirm_code is None
        assert detail in reply.text
        assert (await agent.record(reply)).preflight == bad
        assert agent.chain.executed == []


async def test_it_is_run_again_before_signing_and_a_difference_makes_a_new_card(tmp_path: Path) -> None:
    poorer = replace(GOOD, balances=(GOOD.balances[0], Balance(ALICE, NEAR, 2 * ONE_NEAR, ONE_NEAR)))
    foretelling = Foretelling(GOOD, poorer)
    async with open_agent(tmp_path, preflight=foretelling) as agent:
        first = await agent.ask("/near_transfer bob.localnet 1")
        second = await agent.ask(f"confirm {first.confirm_code}")
        assert second.status == "needs_approval"
        assert (
            "things have changed since: alice.localnet had 10 NEAR when the card was made and has 2 NEAR now"
            in second.text
        )
        assert agent.chain.executed == []
        done = await agent.ask(f"confirm {second.confirm_code}")
        assert done.status == "executed"
        assert len(foretelling.asked) == 3


async def test_a_preflight_that_breaks_says_unknown_on_the_card(tmp_path: Path) -> None:
    async with open_agent(tmp_path, preflight=Foretelling(unknown_report("no `node` answers"))) as agent:
        reply = await agent.ask("/near_transfer bob.localnet 1")
        assert reply.status == "needs_approval"
        assert "\n  ⚠ Not known: preflight: no 'node' answers\n" in reply.text
        assert "Simulated: not known what it does" in reply.text
        assert (await agent.ask(f"confirm {reply.confirm_code}")).status == "executed"


async def test_no_outflow_of_the_signer_is_left_out_of_a_card(tmp_path: Path) -> None:
    taken = [Balance(ALICE, f"t{number}.localnet", 9, 0) for number in range(12)]
    noise = [Balance(AccountId(f"a{number}.localnet"), NEAR, 0, 10**24) for number in range(60)]
    report = replace(GOOD, balances=(*noise, Balance(ALICE, USDC, 0, 5), *taken))
    async with open_agent(tmp_path, preflight=Foretelling(report)) as agent:
        card = (await agent.ask("/near_transfer bob.localnet 1")).text
    assert card.count("alice.localnet pays 9 base units of t") == 12
    assert "And 38 more balances change." in card
    assert "⚠ Warning: the plan changes 73 balances; a card holds 50 of them" in card


def test_findings_are_exact_and_inert() -> None:
    registry = Registry.for_network("localnet")
    found = findings_of(GOOD, ALICE, registry, TGAS)
    assert [(one.account_id, one.symbol, one.before, one.after, one.change) for one in found.effects] == [
        (ALICE, "NEAR", "10", "9", "-1"),
        (BOB, "NEAR", "10", "11", "1"),
    ]
    assert (found.simulation, found.gas_tgas, found.block_height) == ("success", "0.58", 100)
    assert (found.unknown, found.doubts) == ((), ())
    assert findings_of(GOOD, ALICE, registry, TGAS // 2).gas_tgas == "0.5"
    deposits = replace(GOOD, balances=(*GOOD.balances, Balance(BOB, NEAR, 5, 6), Balance(ALICE, USDC, 10**6, 0)))
    assert [(one.account_id, one.symbol) for one in findings_of(deposits, ALICE, registry, TGAS).effects] == [
        (ALICE, "NEAR"),
        (ALICE, "USDC"),
        (BOB, "NEAR"),
    ]
    dust = replace(GOOD, balances=(Balance(BOB, NEAR, 5, 6),))
    assert findings_of(dust, ALICE, registry, TGAS).effects == ()
    strange = AccountId("strange.localnet")
    hostile = replace(
        GOOD,
        checks=tuple(Check(f"c{number}", "unknown", "a\n[link](http://x)", 0) for number in range(5)),
        simulated=(Simulated("partial", "`rm` http://x\nconfirm"),),
        balances=(Balance(BOB, strange, 0, 7),),
    )
    found = findings_of(hostile, ALICE, registry, TGAS)
    assert [(one.token, one.symbol, one.change) for one in found.effects] == [(strange, None, "7")]
    assert found.unknown == tuple(f"c{number}: a (link)(http:/ /x)" for number in range(5))
    assert found.doubts == ("simulated, it ends in partial: 'rm' http:/ /x confirm",)
    assert (found.simulation, found.gas_tgas) == ("partial", None)


def test_a_trial_of_unknown_code_is_told_as_no_promise() -> None:
    """A contract can tell by the time or the gas that it is only tried, and give what it never gives on chain."""
    unknown = replace(GOOD, checks=(*GOOD.checks, Check("code", "unknown", "its code is not known here", 0)))
    (doubt,) = findings_of(unknown, ALICE, Registry.for_network("localnet"), TGAS).doubts
    assert doubt.startswith("it runs code that is not known here and may do otherwise when it is sent")


async def test_the_code_that_was_approved_is_the_known_one_next_time(agent: Agent, foretelling: Foretelling) -> None:
    """What the card's own check finds is kept, and not what an unconfirmed card saw."""
    first, second = CryptoHash.of(b"first"), CryptoHash.of(b"second")
    agent.reads.registered.add((USDC, BOB))
    pay = "/ft_transfer USDC bob.localnet 1.5"

    def runs(code_hash: CryptoHash) -> PreflightReport:
        return replace(GOOD, contracts=(ContractSeen(USDC, code_hash, 0),))

    foretelling.reports = [runs(first)]
    await agent.ask(pay, conversation="never confirmed")
    card = await agent.ask(pay)
    await agent.ask(f"confirm {card.confirm_code}")
    assert [request.used_codes for request in foretelling.asked] == [{}, {}, {}]
    foretelling.reports = [runs(second)]
    await agent.ask("/ft_transfer USDC bob.localnet 2.5")
    assert foretelling.asked[-1].used_codes == {USDC: UsedCode(first, agent.clock())}
    await agent.ask("/near_transfer bob.localnet 1")
    assert foretelling.asked[-1].used_codes == {}


async def test_code_that_is_replaced_between_card_and_confirmation_makes_a_new_card(
    agent: Agent, foretelling: Foretelling
) -> None:
    agent.reads.registered.add((USDC, BOB))
    reports = [replace(GOOD, contracts=(ContractSeen(USDC, CryptoHash.of(code), 0),)) for code in (b"1", b"2")]
    foretelling.reports = reports
    card = await agent.ask("/ft_transfer USDC bob.localnet 1.5")
    again = await agent.ask(f"confirm {card.confirm_code}")
    assert again.status == "needs_approval"
    assert f"the code of {USDC} was replaced since the card was made" in again.text
    assert agent.chain.executed == []


async def test_the_price_impact_of_a_swap_reaches_the_report(agent: Agent, foretelling: Foretelling) -> None:
    exchange = "exchange.localnet"
    pool: JsonValue = {
        "pool_kind": "SIMPLE_POOL",
        "token_account_ids": [USDC, "usdt.localnet"],
        "amounts": ["1000000000", "1000000000"],
        "total_fee": 30,
    }
    agent.reads.answers[exchange, "get_number_of_pools"] = 1
    agent.reads.answers[exchange, "get_pools"] = [pool]
    agent.reads.answers[exchange, "get_return"] = "9871580"
    reply = await agent.ask("/swap USDC USDT 10")
    assert reply.status == "needs_approval", reply.text
    assert foretelling.asked[0].price_impacts == {1: PriceImpact(9_872, 100_000)}  # the registration comes first


async def test_nfts_that_would_move_are_on_the_card_with_inert_ids_and_other_ones_make_a_new_card(
    agent: Agent, foretelling: Foretelling
) -> None:
    nft = "nft.localnet"

    def moving(token_id: str) -> PreflightReport:
        effects = (Effect(ALICE, nft, -1, token_id=token_id), Effect(BOB, nft, 1, token_id=token_id))
        burnt = Effect(ALICE, nft, -1, token_id="old")
        return replace(GOOD, simulated=(replace(GOOD.simulated[0], effects=(*effects, burnt)),))

    told = findings_of(moving("1\n[x](http://evil) `confirm`"), ALICE, Registry.for_network("localnet"), TGAS).nfts
    assert told[0].startswith("bob.localnet has NFT “1 ")
    assert told[-1] == "alice.localnet no longer has NFT “old” of nft.localnet"
    assert not {"\n", "`"} & set("".join(told))
    assert "](" not in "".join(told)
    foretelling.reports = [moving("1"), moving("2")]
    card = await agent.ask("/near_transfer bob.localnet 1")
    again = await agent.ask(f"confirm {card.confirm_code}")
    assert again.status == "needs_approval"
    assert "other NFTs would move than when the card was made" in again.text
