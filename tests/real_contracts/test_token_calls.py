"""ft_transfer_call of the catalogue on wrapped NEAR as its authors compiled it, with receivers of all three sorts."""

from collections.abc import Callable

import pytest

from contracts.calls import ChangeCall
from contracts.catalogue.entry import BuildContext
from contracts.catalogue.index import find
from contracts.catalogue.results import told_result
from contracts.chain.outcome import Execution
from contracts.knowledge.facts import (
    AccountFact,
    AccountFacts,
    ChainFacts,
    FactRequest,
    FactValue,
    StorageFact,
    StorageFacts,
    TokenFact,
    TokenFacts,
)
from contracts.knowledge.registry import Registry
from contracts.types import AccountId
from contracts.vm.engine import Engine
from tests.contracts.catalogue.world import BLOCK, LIMITS
from tests.contracts.vm.chain_double import NEAR, TestChain
from tests.contracts.vm.wat_contract import WatContract

ALICE, WRAP, DEX = AccountId("alice.test"), AccountId("wrap.localnet"), AccountId("dex.test")
MINIMUM = 1_250_000_000_000_000_000_000
REGISTRY = Registry.for_network("localnet")


def receiver(unused: str | None) -> bytes:
    """Returns this amount as unused; None: panics."""
    contract = WatContract()
    answer = contract.panics("not today") if unused is None else contract.returns(f'"{unused}"')
    contract.method("ft_on_transfer", answer)
    return contract.code()


@pytest.mark.shows("ft_transfer_call", "real")
@pytest.mark.parametrize(
    ("unused", "used", "told"),
    [
        ("0", 2 * NEAR, "used all of 2 wNEAR"),
        (str(NEAR // 2), 3 * NEAR // 2, "used 1.5 of 2 wNEAR"),
        (str(2 * NEAR), 0, "No tokens moved: dex.test used none of 2 wNEAR"),
        (None, 0, "No tokens moved: dex.test used none of 2 wNEAR"),
    ],
)
def test_what_the_receiver_used_is_what_moved(
    engine: Engine, real_wasm: Callable[[str], bytes], unused: str | None, used: int, told: str
) -> None:
    chain = TestChain(engine)
    chain.create(ALICE)
    chain.create(WRAP, 10 * NEAR, real_wasm("w_near"))
    chain.create(DEX, 10 * NEAR, receiver(unused))
    chain.call(WRAP, WRAP, "new")
    for account in (ALICE, DEX):
        chain.call(account, WRAP, "storage_deposit", {}, deposit=MINIMUM)
    chain.call(ALICE, WRAP, "near_deposit", deposit=10 * NEAR)
    entry = find("ft_transfer_call")
    context = BuildContext("localnet", "localnet", ALICE, REGISTRY, LIMITS)
    args = entry.parse({"token": "wNEAR", "receiver_id": DEX, "amount": "2", "msg": "swap"}, ALICE, REGISTRY)
    values: dict[FactRequest, FactValue] = {
        TokenFacts(WRAP): TokenFact.model_validate(chain.view(WRAP, "ft_metadata")),
        StorageFacts(WRAP, DEX): StorageFact(MINIMUM, MINIMUM, MINIMUM),
        AccountFacts(DEX): AccountFact(1, 0, has_code=True),
    }
    (call,) = entry.build(args, ChainFacts(values), context).calls
    assert isinstance(call, ChangeCall)
    outcome = chain.send(ALICE, WRAP, *call.actions)
    assert outcome.json == str(used)
    held = {account: chain.view(WRAP, "ft_balance_of", {"account_id": account}) for account in (ALICE, DEX)}
    assert held == {ALICE: str(10 * NEAR - used), DEX: str(used)}
    execution = Execution(BLOCK, 1, BLOCK, ALICE, WRAP, str(used), (), (), 1, 1)
    assert told in (told_result(call, execution, REGISTRY) or "")
