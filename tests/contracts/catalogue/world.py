"""A small world for pure builds: alice on the embedded chain, its registry, and facts as the chain would give them."""

from collections.abc import Mapping

from pydantic import JsonValue

from contracts.calls import ChangeCall, FunctionCall, ViewCall
from contracts.catalogue.entry import BuildContext, Built
from contracts.catalogue.index import find
from contracts.chain.outcome import ViewReturned
from contracts.errors import RpcError
from contracts.knowledge.facts import (
    NO_FACTS,
    Absent,
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
from contracts.knowledge.limits import Limits
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, CryptoHash, Gas, Yocto

ALICE = AccountId("alice.localnet")
BOB = AccountId("bob.localnet")
CAROL = AccountId("carol.localnet")
USDC = AccountId("usdc.localnet")
USDT = AccountId("usdt.localnet")
WRAP = AccountId("wrap.localnet")
BLOCK = CryptoHash.of(b"a block")
STORAGE_MINIMUM = 1_250_000_000_000_000_000_000

LIMITS = Limits(
    max_total_prepaid_gas=Gas(10**15),
    max_actions_per_receipt=100,
    max_length_method_name=256,
    max_arguments_length=4_194_304,
    max_transaction_size=1_572_864,
    max_contract_size=4_194_304,
    storage_amount_per_byte=Yocto(10**19),
)
REGISTRY = Registry.for_network("localnet")
CONTEXT = BuildContext("localnet", "localnet", ALICE, REGISTRY, LIMITS)

EXISTS = AccountFact(amount=10**28, locked=0, has_code=False)
CONTRACT = AccountFact(amount=10**28, locked=0, has_code=True)
NO_ACCOUNT = Absent("no_account", "account does not exist while viewing")
UNREGISTERED = StorageFact(None, STORAGE_MINIMUM, STORAGE_MINIMUM)
REGISTERED = StorageFact(STORAGE_MINIMUM, STORAGE_MINIMUM, STORAGE_MINIMUM)


def metadata(decimals: int = 6, name: str = "USD Coin", symbol: str = "USDC") -> TokenFact:
    return TokenFact(name=name, symbol=symbol, decimals=decimals)


def facts(*pairs: tuple[FactRequest, FactValue]) -> ChainFacts:
    return ChainFacts(dict(pairs), 100, BLOCK)


def transfer_facts(
    receiver: AccountId = CAROL,
    *,
    token: AccountId = USDC,
    meta: TokenFact | Absent | None = None,
    storage: StorageFact | Absent = UNREGISTERED,
    account: AccountFact | Absent = EXISTS,
) -> ChainFacts:
    """What an ft_transfer asks the chain."""
    return facts(
        (TokenFacts(token), metadata() if meta is None else meta),
        (StorageFacts(token, receiver), storage),
        (AccountFacts(receiver), account),
    )


def build(
    action: str, raw: Mapping[str, JsonValue], known: ChainFacts = NO_FACTS, context: BuildContext = CONTEXT
) -> Built:
    """An action from words to calls; the facts given must be the ones it asks for."""
    entry = find(action)
    args = entry.parse(raw, context.signer_id, context.registry)
    asked = {*entry.needs(args, context), *entry.further(args, known, context)}
    assert asked == set(known.values)
    return entry.build(args, known, context)


def answer(
    action: str,
    raw: Mapping[str, JsonValue],
    value: JsonValue,
    known: ChainFacts = NO_FACTS,
    context: BuildContext = CONTEXT,
) -> str:
    entry = find(action)
    args = entry.parse(raw, context.signer_id, context.registry)
    return entry.answer(args, ViewReturned(value, 100, BLOCK), known, context)


def explain(action: str, raw: Mapping[str, JsonValue], error: RpcError) -> str | None:
    entry = find(action)
    return entry.explain(entry.parse(raw, ALICE, REGISTRY), error, CONTEXT)


def change(built: Built) -> ChangeCall:
    """The one transaction of a built change."""
    assert len(built.calls) == 1
    call = built.calls[0]
    assert isinstance(call, ChangeCall)
    return call


def view(built: Built) -> ViewCall:
    assert len(built.calls) == 1
    call = built.calls[0]
    assert not isinstance(call, ChangeCall)
    return call


def steps(call: ChangeCall) -> list[FunctionCall]:
    """The function calls of a transaction that has nothing else."""
    found = [action for action in call.actions if isinstance(action, FunctionCall)]
    assert len(found) == len(call.actions)
    return found
