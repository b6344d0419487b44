"""PyPI py-near on the embedded chain. It has no types; what is taken from it is named once."""

import importlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import base58
import pytest
from nacl.signing import SigningKey

from tests.judges_clients.recorder import Recorder

# It asks datetime.utcnow() for the time, which Python 3.12 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

_ACCOUNT: Final[Any] = importlib.import_module("py_near.account").Account
_FT_MODEL: Final[Any] = importlib.import_module("py_near.dapps.fts").FtModel
_ERRORS: Final[Any] = importlib.import_module("py_near.exceptions.provider")
NEAR = 10**24


@asynccontextmanager
async def _opened(account_id: str, secret: str | bytes, recorder: Recorder) -> AsyncGenerator[Any]:
    account = _ACCOUNT(account_id, secret, rpc_addr=recorder.url)
    await account.startup()
    try:
        yield account
    finally:
        await account.shutdown()


@pytest.fixture
async def alice(recorder: Recorder, secret: Callable[[str], str]) -> AsyncGenerator[Any]:
    async with _opened("alice.localnet", secret("alice.localnet"), recorder) as account:
        yield account


async def test_it_knows_the_chain(alice: Any) -> None:
    assert alice.chain_id == "localnet"
    assert await alice.get_balance() == 10_000 * NEAR
    assert (await alice.fetch_state())["code_hash"] == "1" * 32
    assert (await alice.get_access_key_list())[0].access_key["permission"] == "FullAccess"


async def test_it_moves_near(alice: Any) -> None:
    before = await alice.get_balance("bob.localnet")
    sent = await alice.send_money("bob.localnet", 3 * NEAR // 2)
    assert "SuccessValue" in sent.status
    assert await alice.get_balance("bob.localnet") - before == 3 * NEAR // 2
    tx_hash = await alice.send_money("bob.localnet", 1, included=True)
    looked_up = await alice.provider.get_tx(tx_hash, "alice.localnet")
    assert looked_up.transaction.hash == tx_hash


async def test_it_calls_contracts(alice: Any) -> None:
    sent = await alice.function_call("counter.localnet", "increment", {"number": 3})
    assert sent.logs == ["Increased number to 3"]
    assert (await alice.view_function("counter.localnet", "get_num", {})).result == 3
    failed = await alice.function_call("counter.localnet", "fail", {"message": "no such luck"})
    assert "no such luck" in str(failed.status["Failure"])
    wrapped = await alice.function_call("wrap.localnet", "near_deposit", {}, amount=NEAR)
    assert wrapped.logs[0].startswith("Deposit ")


async def test_it_moves_tokens(alice: Any) -> None:
    usdc = _FT_MODEL("usdc.localnet", 6)
    # Its own get_metadata() wants texts where NEP-148 (and every token without an icon) has null.
    assert (await alice.view_function("usdc.localnet", "ft_metadata", {})).result["symbol"] == "USDC"
    await alice.ft.transfer(usdc, "carol.localnet", 12.5, force_register=True)
    assert await alice.ft.get_ft_raw_balance("usdc.localnet", "carol.localnet") == 12_500_000
    call = await alice.ft.transfer_call(usdc, "counter.localnet", 5, memo="2000000", force_register=True)
    assert call.status["SuccessValue"] == "IjMwMDAwMDAi"


async def test_accounts_and_keys(alice: Any, recorder: Recorder) -> None:
    key = SigningKey.generate()
    public = base58.b58encode(bytes(key.verify_key)).decode()
    created = await alice.create_account("new.alice.localnet", public, NEAR)
    assert "SuccessValue" in created.status
    limited = base58.b58encode(bytes(SigningKey.generate().verify_key)).decode()
    await alice.add_public_key(limited, "counter.localnet", ["increment"], NEAR)
    permissions = {item.public_key: item.access_key for item in await alice.get_access_key_list()}
    assert permissions[f"ed25519:{limited}"]["permission"]["FunctionCall"]["method_names"] == ["increment"]
    assert "SuccessValue" in (await alice.delete_public_key(limited)).status
    assert len(await alice.get_access_key_list()) == 1
    async with _opened("new.alice.localnet", bytes(key) + bytes(key.verify_key), recorder) as other:
        assert "SuccessValue" in (await other.send_money("alice.localnet", NEAR // 2)).status


async def test_what_cannot_be_is_a_typed_error(alice: Any) -> None:
    with pytest.raises(_ERRORS.UnknownAccount):
        await alice.get_balance("nobody.localnet")
    with pytest.raises(_ERRORS.NotEnoughBalance):
        await alice.send_money("bob.localnet", 100_000 * NEAR)


async def test_the_judge_saw_each_method(alice: Any, recorder: Recorder) -> None:
    await alice.send_money("bob.localnet", 1)
    await alice.send_money("bob.localnet", 1, nowait=True)
    block = await alice.provider.get_block((await alice.provider.get_status())["sync_info"]["latest_block_hash"])
    await alice.provider.get_chunk(block["chunks"][0]["chunk_hash"])
    await alice.provider.get_validators()
    seen = {"status", "query", "broadcast_tx_commit", "send_tx", "block", "chunk", "validators"}
    assert seen <= recorder.methods()
