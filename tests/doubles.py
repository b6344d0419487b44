"""Stand-ins that are passed in: a ledger in memory, keys and a clock."""

import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import base58
from nacl.signing import SigningKey

from agent.models.provider import ModelProvider
from contracts.calls import ChangeCall, Grant
from contracts.chain.budget import Reservation
from contracts.chain.ledger import (
    UNSETTLED,
    ForeignUse,
    Intent,
    IntentState,
    Lane,
    LaneRecord,
    Ledger,
    SeenNonce,
    Signed,
    check_transition,
)
from contracts.chain.nonce import check_ours, explain, may_adopt
from contracts.chain.outcome import Effect, Outcome
from contracts.errors import LedgerConflict
from contracts.signing.keypair import SecretKey
from contracts.signing.keystore import KeyStore, write_key_file
from contracts.signing.signer import check_step, transaction_step
from contracts.signing.transaction import call_digest, calls_hash, decode_transaction
from contracts.types import AccountId, CryptoHash, PublicKey


class Crash(Exception):
    """The process ends here: raised from a kill point."""


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class MemoryLedger:
    """The ledger's rules without a disk: what a method returned from is kept, a conflict leaves nothing behind.

    `on_call` runs before and after each method, with its name: a place to cancel or to crash.
    """

    def __init__(self, on_call: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.intents: dict[str, Intent] = {}
        self.grants: dict[str, Grant] = {}
        self.steps: dict[tuple[str, str], bool] = {}
        """(grant, intent) -> consumed."""
        self.nonces: dict[tuple[str, str, str], int] = {}
        """(chain, signer, lane's name) -> highest nonce."""
        self.foreign: dict[tuple[str, str, str], ForeignUse] = {}
        self.baselines: dict[tuple[str, str, str], SeenNonce] = {}
        self._on_call = on_call

    async def create(self, intents: Sequence[Intent]) -> None:
        await self._touch("create")
        taken = [intent.intent_id for intent in intents if intent.intent_id in self.intents]
        if taken:
            raise LedgerConflict("intent_exists", f"stored already: {taken}")
        self.intents |= {intent.intent_id: replace(intent, state="planned") for intent in intents}

    async def approve(
        self, grant: Grant, intent_ids: Sequence[str], now: float, reservation: Reservation | None = None
    ) -> None:
        assert reservation is None, "budgets are the store's"
        await self._touch("approve")
        if grant.grant_id in self.grants:
            raise LedgerConflict("grant_used", f"grant {grant.grant_id} is stored already")
        changed: dict[str, Intent] = {}
        for intent_id in intent_ids:
            intent = self._get(intent_id, "approved")
            if intent.state != "planned":
                raise LedgerConflict("state_moved", f"intent {intent_id} is {intent.state}")
            changed[intent_id] = replace(intent, state="approved", grant_id=grant.grant_id, updated_at=now)
        self.grants[grant.grant_id] = grant
        self.intents |= changed
        self.steps |= {(grant.grant_id, intent_id): False for intent_id in intent_ids}

    async def begin(
        self, grant: Grant, intents: Sequence[Intent], now: float, reservation: Reservation | None = None
    ) -> None:
        before = dict(self.intents)
        await self.create(intents)
        try:
            await self.approve(grant, [intent.intent_id for intent in intents], now, reservation)
        except LedgerConflict:
            self.intents = before
            raise

    async def store_signed(self, intent_id: str, grant_id: str, signed: Signed, now: float) -> None:
        await self._touch("store_signed")
        if self.steps.get((grant_id, intent_id)) is not False:
            raise LedgerConflict("grant_used", f"grant {grant_id} does not cover {intent_id}, or was used")
        if now >= self.grants[grant_id].expires_at:
            raise LedgerConflict("grant_expired", f"grant {grant_id} has expired")
        intent = self._get(intent_id, "signed")
        if intent.state != "approved":
            raise LedgerConflict("state_moved", f"intent {intent_id} is {intent.state}")
        lane = Lane(intent.chain_id, intent.signer_id, signed.public_key, signed.nonce_index)
        if intent.fences is None:
            for other, record in await self.lanes(lane.chain_id, lane.signer_id):
                check_ours(other, record)
            if signed.nonce <= self.nonces.get(_key(lane), 0):
                raise LedgerConflict("nonce_taken", f"nonce {signed.nonce} is taken")
            self.nonces[_key(lane)] = signed.nonce
        else:
            target = self.intents[intent.fences]
            same = target.signed is not None and (target.lane, target.signed.nonce) == (lane, signed.nonce)
            if not same or target.state not in UNSETTLED:
                raise LedgerConflict("fence_void", f"{intent.fences} is not open, or has another nonce")
        self.steps[grant_id, intent_id] = True
        self.intents[intent_id] = replace(intent, state="signed", signed=signed, updated_at=now)
        await self._touch("store_signed done")

    async def move(self, intent_id: str, to: IntentState, now: float, outcome: Outcome | None = None) -> None:
        await self._touch(f"move {to}")
        intent = self._get(intent_id, to)
        check_transition(intent_id, intent.state, to)
        if intent.state == to and (intent.outcome is not None or outcome is None):
            return
        self.intents[intent_id] = replace(intent, state=to, outcome=outcome, updated_at=now)
        await self._touch(f"move {to} done")

    async def get(self, intent_id: str) -> Intent | None:
        await self._touch("get")
        return self.intents.get(intent_id)

    async def grant(self, grant_id: str) -> Grant | None:
        return self.grants.get(grant_id)

    async def of_request(self, request_id: str) -> list[Intent]:
        found = [intent for intent in self.intents.values() if intent.request_id == request_id]
        return sorted(found, key=lambda intent: intent.step)

    async def by_hash(self, tx_hash: CryptoHash) -> Intent | None:
        for intent in self.intents.values():
            if intent.signed is not None and intent.signed.tx_hash == tx_hash:
                return intent
        return None

    async def in_states(self, states: frozenset[IntentState]) -> list[Intent]:
        return [intent for intent in self.intents.values() if intent.state in states]

    async def last_nonce(self, chain_id: str, signer_id: AccountId, public_key: PublicKey) -> int:
        return self.nonces.get((chain_id, signer_id, public_key), 0)

    async def lane(self, lane: Lane) -> LaneRecord:
        await self._touch("lane")
        return self._record(lane)

    async def lanes(self, chain_id: str, signer_id: AccountId | None = None) -> list[tuple[Lane, LaneRecord]]:
        found = [
            Lane(chain_id, AccountId(signer), PublicKey(name.partition("#")[0]), int(name.partition("#")[2] or -1))
            for chain, signer, name in sorted(self.nonces)
            if chain == chain_id and signer_id in (None, signer)
        ]
        plain = [replace(lane, nonce_index=None) if lane.nonce_index == -1 else lane for lane in found]
        return [(lane, self._record(lane)) for lane in plain]

    async def observe(self, seen: Sequence[SeenNonce], now: float) -> list[LaneRecord]:
        await self._touch("observe")
        new = {account for account in {_account(one.lane) for one in seen} if not self._traces(*account)}
        for one in seen:
            key = _key(one.lane)
            if key not in self.nonces:
                if may_adopt(one.nonce, account_is_new=_account(one.lane) in new):
                    self.nonces[key], self.baselines[key] = one.nonce, one
                else:
                    self.nonces[key], self.foreign[key] = 0, ForeignUse(0, one.nonce, now)
            elif explain(one.nonce, self._record(one.lane).baseline, [own.state for own in self._at(one)]) == "foreign":
                self.foreign.setdefault(key, ForeignUse(self.nonces[key], one.nonce, now))
        return [replace(self._record(one.lane), in_doubt=self._doubt(one)) for one in seen]

    def _traces(self, chain_id: str, signer_id: AccountId) -> bool:
        known = any(key[:2] == (chain_id, signer_id) for key in self.nonces)
        return known or any((one.chain_id, one.signer_id) == (chain_id, signer_id) for one in self.intents.values())

    def _at(self, seen: SeenNonce) -> list[Intent]:
        own = [one for one in self.intents.values() if one.lane == seen.lane]
        return [one for one in own if one.signed is not None and one.signed.nonce == seen.nonce]

    def _doubt(self, seen: SeenNonce) -> str | None:
        own = self._at(seen)
        if explain(seen.nonce, self._record(seen.lane).baseline, [one.state for one in own]) != "in_doubt":
            return None
        return next(one.intent_id for one in own if explain(1, 0, [one.state]) == "in_doubt")

    async def acknowledge(self, seen: Sequence[SeenNonce], now: float) -> int:
        for one in seen:
            key = _key(one.lane)
            self.foreign.pop(key, None)
            self.nonces[key] = max(one.nonce, self.nonces.get(key, 0))
            self.baselines[key] = max((one, self.baselines.get(key, one)), key=lambda baseline: baseline.nonce)
        return 0

    async def executed_from(self, lane: Lane, nonce: int) -> list[Intent]:
        await self._touch("executed_from")
        found = [
            (intent.signed.nonce, intent)
            for intent in self.intents.values()
            if intent.signed is not None
            and intent.lane == lane
            and intent.signed.nonce >= nonce
            and intent.state in {"final", "failed"}
        ]
        return [intent for _, intent in sorted(found, key=lambda pair: pair[0])]

    async def fences_of(self, intent_id: str) -> list[Intent]:
        return [intent for intent in self.intents.values() if intent.fences == intent_id]

    def _record(self, lane: Lane) -> LaneRecord:
        baseline = self.baselines.get(_key(lane), SeenNonce(lane, 0, 0))
        return LaneRecord(self.nonces.get(_key(lane), 0), self.foreign.get(_key(lane)), baseline.nonce, baseline.height)

    def _get(self, intent_id: str, to: str) -> Intent:
        intent = self.intents.get(intent_id)
        if intent is None:
            raise LedgerConflict("state_moved", f"intent {intent_id} is not in the ledger and cannot become {to}")
        return intent

    async def _touch(self, what: str) -> None:
        if self._on_call is not None:
            await self._on_call(what)


def _key(lane: Lane) -> tuple[str, str, str]:
    return lane.chain_id, lane.signer_id, lane.name


def _account(lane: Lane) -> tuple[str, AccountId]:
    return lane.chain_id, lane.signer_id


def key_file(folder: Path, account_id: str, seed: bytes) -> PublicKey:
    """Write a near-cli key file for a seed and return its public key."""
    public = bytes(SigningKey(seed).verify_key)
    public_key = PublicKey.from_bytes("ed25519", public)
    secret = f"ed25519:{base58.b58encode(seed + public).decode()}"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"account_id": account_id, "public_key": public_key, "private_key": secret}
    (folder / f"{account_id}.json").write_text(json.dumps(content))
    return public_key


def key_store(folder: Path, *account_ids: str) -> KeyStore:
    """Keys of these accounts, each from its own name."""
    for account_id in account_ids:
        key_file(folder, account_id, hashlib.sha256(account_id.encode()).digest())
    return KeyStore.load(folder, "localnet")


async def approved(
    ledger: Ledger,
    call: ChangeCall,
    *,
    name: str = "one",
    signer_id: str = "alice.localnet",
    chain_id: str = "localnet",
    expires_at: float = 1_800_000_600.0,
    expected: tuple[Effect, ...] = (),
    fences: str | None = None,
    step: int = 0,
) -> tuple[Intent, Grant]:
    """An intent in state `approved` and its grant."""
    signer = AccountId(signer_id)
    intent = Intent(
        intent_id=name,
        request_id=f"request of {name}",
        step=step,
        chain_id=chain_id,
        signer_id=signer,
        call=call,
        calls_hash=calls_hash(chain_id, signer, [call]),
        state="planned",
        created_at=1_800_000_000.0,
        updated_at=1_800_000_000.0,
        expected=expected,
        fences=fences,
    )
    grant = Grant(
        grant_id=f"grant of {name}",
        calls_hash=intent.calls_hash,
        call_digests=(call_digest(call),),
        chain_id=chain_id,
        signer_id=signer,
        identity="key-1",
        channel="chat",
        expires_at=expires_at,
    )
    await ledger.create([intent])
    await ledger.approve(grant, [name], 1_800_000_000.0)
    stored = await ledger.get(name)
    assert stored is not None
    return stored, grant


class KeyStoreSigner:
    """A signer over keys in this process, without a journal or caps."""

    def __init__(self, keys: KeyStore, *, chain_id: str, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._chain_id = chain_id
        self._clock = clock

    async def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
        transaction = decode_transaction(transaction_bytes)
        check_step(transaction_step(transaction), grant, chain_ids=(self._chain_id,), now=self._clock())
        digest = hashlib.sha256(transaction_bytes).digest()
        return self._keys.unsafe_sign_hash(transaction.signer_id, transaction.public_key, digest)

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        return self._keys.public_keys(account_id)


class NoModels:
    """No model is configured: slash commands only."""

    def standard(self) -> ModelProvider | None:
        return None

    def specialist(self) -> ModelProvider | None:
        return None


def generate_key_file(path: Path, account_id: AccountId) -> PublicKey:
    """Write the file of a new ed25519 key; returns the public key. FileExistsError where the file is there already."""
    return write_key_file(path, account_id, SecretKey.generate(secrets.token_bytes))
