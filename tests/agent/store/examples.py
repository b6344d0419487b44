"""Values to store."""

from agent.records import (
    CallOutcome,
    CallPlan,
    CardFacts,
    CardGas,
    CardWarning,
    Identity,
    InteractionRecord,
    PlannedCall,
    Route,
    Turn,
    UserRequest,
)
from agent.store.cards import PendingCard
from contracts.calls import ChangeCall, FunctionCall, Grant, Transfer
from contracts.chain.ledger import Intent, Signed
from contracts.chain.outcome import Effect, ViewReturned
from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto

NOW = 1_800_000_000.0
ALICE = AccountId("alice.localnet")
BOB = AccountId("bob.localnet")
KEY = PublicKey.from_bytes("ed25519", bytes(range(32)))
OTHER_KEY = PublicKey.from_bytes("ed25519", bytes(range(1, 33)))
IDENTITY = Identity(key_id="key-of-alice", account_id=ALICE, may_confirm=True)
CALL = ChangeCall(
    receiver_id=BOB,
    actions=(
        Transfer(Yocto(2**128 - 1)),
        FunctionCall("ft_transfer", b'{"amount":"1"}', Gas(30 * 10**12), Yocto(1)),
    ),
)


def request(
    request_id: str = "r1",
    text: str = "/near_balance alice.localnet",
    *,
    identity: Identity = IDENTITY,
    idempotency_key: str | None = None,
    message_id: str | None = None,
) -> UserRequest:
    return UserRequest(
        request_id=request_id,
        text=text,
        turns=(Turn(role="user", content=text),),
        identity=identity,
        front_end="chat_completions",
        conversation_id="c1",
        idempotency_key=idempotency_key,
        message_id=message_id,
        received_at=NOW,
    )


def record(
    of: UserRequest, text: str = "alice.localnet has 10 NEAR", *, repeats: str | None = None
) -> InteractionRecord:
    return InteractionRecord(
        request=of,
        status="answered",
        text=text,
        route=Route(target="none", model=None, reason="slash"),
        plan=CallPlan(
            calls=(PlannedCall(action="near_balance", args={"account_id": "alice.localnet"}),), plan_hash="a" * 64
        ),
        calls=(CALL,),
        calls_hash="b" * 64,
        outcomes=(ViewReturned(value={"near": "10"}, block_height=7, block_hash=CryptoHash.of(b"block")),),
        call_outcomes=(CallOutcome(action="near_balance", status="returned", value="10"),),
        repeats=repeats,
        timings_ms={"plan": 0.5},
        finished_at=NOW + 1,
    )


def intent(name: str = "i1", *, request_id: str = "r1", step: int = 0, calls_hash: str = "hash") -> Intent:
    return Intent(
        intent_id=name,
        request_id=request_id,
        step=step,
        chain_id="localnet",
        signer_id=ALICE,
        call=CALL,
        calls_hash=calls_hash,
        state="planned",
        created_at=NOW,
        updated_at=NOW,
        expected=(Effect(ALICE, "NEAR", -(2**100)), Effect(BOB, "NEAR", 2**100)),
    )


def grant(name: str = "g1", *, expires_at: float = NOW + 600) -> Grant:
    return Grant(
        grant_id=name,
        calls_hash="hash",
        call_digests=("d1", "d2"),
        chain_id="localnet",
        signer_id=ALICE,
        identity="key-of-alice",
        channel="chat_completions",
        expires_at=expires_at,
    )


def signed(nonce: int, *, key: PublicKey = KEY, salt: str = "") -> Signed:
    data = f"{key} {nonce} {salt}".encode()
    return Signed(
        tx_hash=CryptoHash.of(data),
        data=data,
        public_key=key,
        nonce=nonce,
        reference_hash=CryptoHash.of(b"block"),
        reference_height=7,
    )


def card(
    request_id: str = "r1",
    *,
    key_id: str = "key-of-alice",
    turn_hash: str | None = None,
    code_hash: str | None = None,
    created_at: float = NOW,
    text: str = "send 1.5 NEAR to bob.localnet",
) -> PendingCard:
    return PendingCard(
        request_id=request_id,
        identity_key_id=key_id,
        conversation_id="c1",
        turn_hash=turn_hash or f"turn of {request_id}",
        code_hash=code_hash or f"code of {request_id}",
        calls_hash="hash",
        chain_id="localnet",
        signer_id=ALICE,
        plan=CallPlan(calls=(PlannedCall(action="near_transfer", args={"password": "kept"}),), plan_hash="a" * 64),
        calls=(CALL,),
        call_steps=((0,),),
        expected=((Effect(ALICE, "NEAR", -(2**100)), Effect(BOB, "NEAR", 2**100)),),
        text=text,
        created_at=created_at,
        expires_at=created_at + 600,
    )


def card_facts(summary: str) -> CardFacts:
    return CardFacts(
        request_id="r1",
        network="localnet",
        signer_id=ALICE,
        summary=(summary,),
        near_out="1.5",
        effects=(),
        nfts=(),
        warnings=(CardWarning(kind="warning", text=summary),),
        notes=(summary,),
        named=(),
        transactions=(),
        gas=CardGas(limit_tgas=1, limit_near=None, simulated_tgas=None),
        simulation="none",
        checked_at_block=None,
        checks=(),
        fingerprint="ab12 cd34 ef56",
        expires_at="2027-01-15T08:00:00Z",
    )
