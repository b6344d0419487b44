import asyncio
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Stake,
    Transfer,
)
from contracts.errors import ChainError
from contracts.localnet.chain import Chain, ChainSettings
from contracts.signing.transaction import SignedTransaction
from contracts.types import TGAS, AccountId, Gas, PublicKey, Yocto
from contracts.vm.receipts import ExecutionStatus, Failure, SuccessValue
from tests.contracts.localnet.rig import opened_chain
from tests.contracts.localnet.wallet import ALICE, BOB, NEAR, USDC, Wallet

KEYS = [SigningKey(bytes([number]) * 32) for number in range(3)]
PUBLIC = [PublicKey.from_bytes("ed25519", bytes(key.verify_key)) for key in KEYS]
RECEIVERS = [
    ALICE,
    BOB,
    USDC,
    AccountId("counter.localnet"),
    AccountId("x.alice.localnet"),
    AccountId("nobody.localnet"),
    AccountId("aa" * 32),
    AccountId("0x" + "ab" * 20),
    AccountId("system"),
]
amounts = st.sampled_from([0, 1, NEAR, 4_000 * NEAR, 2**128 - 1]).map(Yocto)
keys = st.sampled_from(PUBLIC)
actions: st.SearchStrategy[Action] = st.one_of(
    st.just(CreateAccount()),
    st.builds(Transfer, amounts),
    st.builds(DeployContract, st.sampled_from([b"", b"\0asm\1\0\0\0", b"no wasm" * 1000])),
    st.builds(
        FunctionCall,
        st.sampled_from(["increment", "ft_transfer", "storage_deposit", "", "nothing"]),
        st.sampled_from([b"", b"{}", b'{"account_id":"alice.localnet"}', b"\xff"]),
        st.sampled_from([0, 1, TGAS, 50 * TGAS, 1000 * TGAS]).map(Gas),
        amounts,
    ),
    st.builds(Stake, amounts, keys),
    st.builds(AddKey, keys, st.just(FullAccess())),
    st.builds(AddKey, keys, st.builds(FunctionCallAccess, st.sampled_from(RECEIVERS), st.just(("x",)), amounts)),
    st.builds(DeleteKey, keys),
    st.builds(DeleteAccount, st.sampled_from(RECEIVERS)),
)
transactions = st.lists(
    st.tuples(st.booleans(), st.sampled_from(RECEIVERS), st.lists(actions, max_size=4)), min_size=1, max_size=6
)


async def _sent(chain: Chain, signed: SignedTransaction, landed: list[ExecutionStatus], refused: set[str]) -> None:
    try:
        landed.append((await chain.submit(signed, "FINAL")).status())
    except ChainError as error:
        refused.add(error.code)


async def test_no_transaction_makes_or_loses_money_or_stops_the_chain(
    data_dir: Path, alice: Wallet, bob: Wallet
) -> None:
    async with opened_chain(data_dir, settings=ChainSettings(heartbeat_s=0.01)) as chain:
        nonce = 0
        landed: list[ExecutionStatus] = []
        refused: set[str] = set()
        for drawn in _examples():
            async with asyncio.TaskGroup() as tasks:
                for first, receiver_id, wanted in drawn:
                    nonce += 1
                    wallet = alice if first else bob
                    signed = wallet.sign(receiver_id, wanted, nonce, chain.head.hash)
                    tasks.create_task(_sent(chain, signed, landed, refused))
                await asyncio.sleep(0)
                while chain.busy:
                    await chain.make_block()
            assert chain.total_of_accounts() == chain.head.total_supply, drawn
        assert {type(status) for status in landed} >= {SuccessValue, Failure}
        assert refused == {"INVALID_TRANSACTION"}


def _examples() -> list[list[tuple[bool, AccountId, list[Action]]]]:
    """What hypothesis would try, drawn up front: one chain takes them all."""
    drawn: list[list[tuple[bool, AccountId, list[Action]]]] = []

    @settings(max_examples=60, database=None, deadline=None, derandomize=True)
    @given(transactions)
    def draw(example: list[tuple[bool, AccountId, list[Action]]]) -> None:
        drawn.append(example)

    draw()
    return drawn
