"""The code that contracts had: kept with a final outcome and nothing less, the newest approval's."""

from dataclasses import replace

import pytest

from agent.store.store import Store
from contracts.chain.ledger import IntentState
from contracts.checks.preflight import UsedCode
from contracts.types import AccountId, CryptoHash
from tests.agent.store.examples import ALICE, BOB, NOW, grant, intent, signed

FIRST, SECOND = CryptoHash.of(b"first"), CryptoHash.of(b"second")
OTHERS = CryptoHash.of(b"another contract's")
TOKEN, OTHER = intent().call.receiver_id, AccountId("other.localnet")


async def begin(store: Store, name: str, code_hash: CryptoHash | None, at: float = NOW, nonce: int = 1) -> None:
    codes = () if code_hash is None else ((TOKEN, code_hash), (OTHER, OTHERS))
    planned = replace(intent(name), codes=codes, created_at=at)
    await store.ledger.begin(grant(f"grant of {name}", expires_at=at + 10**9), [planned], at)
    await store.ledger.store_signed(name, f"grant of {name}", signed(nonce), at)
    await store.ledger.move(name, "sending", at)


async def used(store: Store, signer_id: AccountId = ALICE, chain_id: str = "localnet") -> UsedCode | None:
    return (await store.codes.used(chain_id, signer_id, [TOKEN])).get(TOKEN)


async def test_it_is_kept_when_the_outcome_is_final_for_this_signer_and_chain(store: Store) -> None:
    await begin(store, "a", FIRST)
    assert await used(store) is None
    await store.ledger.move("a", "final", NOW + 5)
    assert await used(store) == UsedCode(FIRST, NOW)
    assert await used(store, BOB) is None
    assert await used(store, chain_id="mainnet") is None
    assert await store.codes.used("localnet", ALICE, []) == {}
    stored = await store.ledger.get("a")
    assert stored is not None
    assert stored.codes == ((TOKEN, FIRST), (OTHER, OTHERS))
    assert await store.codes.used("localnet", ALICE, [TOKEN, OTHER]) == {
        TOKEN: UsedCode(FIRST, NOW),
        OTHER: UsedCode(OTHERS, NOW),
    }


@pytest.mark.parametrize("end", ["failed", "expired", "unconfirmed"])
async def test_what_did_not_happen_makes_no_code_known(store: Store, end: IntentState) -> None:
    await begin(store, "a", FIRST)
    await store.ledger.move("a", end, NOW + 5)
    assert await used(store) is None


async def test_the_newest_approval_counts_in_whatever_order_they_end(store: Store) -> None:
    await begin(store, "old", FIRST, NOW, 1)
    await begin(store, "new", SECOND, NOW + 60, 2)
    await store.ledger.move("new", "final", NOW + 70)
    await store.ledger.move("old", "final", NOW + 90)
    assert await used(store) == UsedCode(SECOND, NOW + 60)
    await begin(store, "unread", None, NOW + 120, 3)
    await store.ledger.move("unread", "final", NOW + 130)
    assert await used(store) == UsedCode(SECOND, NOW + 60)
    await begin(store, "back", FIRST, NOW + 180, 4)
    await store.ledger.move("back", "final", NOW + 190)
    assert await used(store) == UsedCode(FIRST, NOW + 180)
