"""What the signer's process does with its keys: every rule between a request and a signature is here.

A grant's step is signed once. The very same bytes get the very same signature again, so a lost answer costs nothing; any
other bytes for that step are refused, also with another nonce or block: the first ones left this process and may be sent by
whoever has them, and nobody here can prove that they were not. Who needs other bytes asks for a new grant.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from contracts.calls import Action, AddKey, ApproverSignature, Grant
from contracts.errors import SigningError
from contracts.signing.approvals import approvers_of
from contracts.signing.caps import Caps, Network, Spending, over_caps, spending
from contracts.signing.journal import Entry, Journal
from contracts.signing.keypair import SecretKey
from contracts.signing.keystore import (
    KeyFileProblem,
    KeyStore,
    additional_path,
    parse_secret,
    retire_key_files,
    write_key_file,
)
from contracts.signing.messages import Message, decode_delegate_payload, message_hash
from contracts.signing.sealed import MODERATE, Cost, Seal, read_sealed, seal, sealed_path, unseal
from contracts.signing.signer import Step, check_step, delegate_step, message_step, transaction_step
from contracts.signing.transaction import decode_transaction
from contracts.types import AccountId, PublicKey

_PUBLIC_NETWORKS: Final = frozenset({"testnet", "mainnet"})


@dataclass(frozen=True, slots=True)
class KeyFolders:
    """Where a network's keys lie."""

    credentials_dir: Path
    network: Network
    own: Path
    """The signer's own folder: journal, caps, sealed keys."""
    direct: bool
    """New keys go to `credentials_dir/ACCOUNT.json`, else to the network's folder in it."""

    def first_path(self, account_id: AccountId) -> Path:
        folder = self.credentials_dir if self.direct else self.credentials_dir / self.network
        return folder / f"{account_id}.json"


@dataclass(frozen=True, slots=True)
class _Asked:
    kind: str
    step: Step
    public_key: PublicKey
    nonce: str
    digest: bytes
    """The 32 bytes that are signed."""
    spent: Spending


@dataclass(frozen=True, slots=True)
class _Unsealed:
    account_id: AccountId
    key: SecretKey
    under: Seal


class Vault:
    """Keys, journal and caps of one network. Errors: SigningError; InvalidInput and UnsupportedAction for unreadable bytes."""

    def __init__(
        self, folders: KeyFolders, journal: Journal, caps: Caps, *, clock: Callable[[], float], cost: Cost = MODERATE
    ) -> None:
        self._folders = folders
        self._journal = journal
        self._caps = caps
        self._clock = clock
        self._cost = cost
        self._keys = KeyStore({})
        self._unsealed: dict[PublicKey, _Unsealed] = {}
        self._leaving: set[tuple[AccountId, PublicKey]] = set()

    def reload(self) -> None:
        """Read the key files again; sealed keys that were opened stay open."""
        self._keys = KeyStore.load(self._folders.credentials_dir, self._folders.network)
        for one in self._unsealed.values():
            self._keys.add(one.account_id, one.key)

    def held(self) -> dict[AccountId, tuple[PublicKey, ...]]:
        """What it can sign with."""
        return {account_id: self._keys.public_keys(account_id) for account_id in self._keys.accounts()}

    def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]:
        """An account's keys, those left out that are on their way out.

        SigningError `bad_key_file`; `key_locked` where only sealed ones are there.
        """
        if not self.held().get(account_id):
            self.reload()
        keys = tuple(key for key in self._keys.public_keys(account_id) if (account_id, key) not in self._leaving)
        if not keys and account_id in self.locked():
            raise SigningError("key_locked", f"the key of {account_id} is sealed; open it with: near-agent keys unlock")
        return keys

    def locked(self) -> dict[AccountId, tuple[PublicKey, ...]]:
        """Sealed keys that were not opened yet."""
        found: dict[AccountId, tuple[PublicKey, ...]] = {}
        for one in read_sealed(self._folders.own, self._folders.network):
            if one.public_key not in self._unsealed:
                found[one.account_id] = (*found.get(one.account_id, ()), one.public_key)
        return found

    @property
    def problems(self) -> tuple[KeyFileProblem, ...]:
        return self._keys.problems

    def sign(self, transaction_bytes: bytes, grant: Grant) -> bytes:
        """A transaction's signature. To be released only when the journal's batch has ended."""
        transaction = decode_transaction(transaction_bytes)
        asked = _Asked(
            "transaction",
            transaction_step(transaction),
            transaction.public_key,
            f"{transaction.nonce}" + ("" if transaction.nonce_index is None else f"/{transaction.nonce_index}"),
            hashlib.sha256(transaction_bytes).digest(),
            self._spending(transaction.public_key, transaction.receiver_id, transaction.actions),
        )
        return self._sign(asked, grant)

    def sign_message(self, account_id: AccountId, public_key: PublicKey, message: Message, grant: Grant) -> bytes:
        """A NEP-413 message's signature: contracts execute such messages, so it is money like a transaction."""
        harmless = message.recipient in self._caps.message_recipients
        spent = Spending(unweighed=() if harmless else (f"a message to {message.recipient[:80]!r}",))
        step = message_step(account_id, message)
        return self._sign(_Asked("message", step, public_key, "", message_hash(message), spent), grant)

    def sign_delegate(self, payload: bytes, grant: Grant) -> bytes:
        """The signature of a NEP-366 delegate action, given as prefix and Borsh."""
        action = decode_delegate_payload(payload)
        spent = self._spending(action.public_key, action.receiver_id, action.actions)
        digest = hashlib.sha256(payload).digest()
        return self._sign(
            _Asked("delegate", delegate_step(action), action.public_key, f"{action.nonce}", digest, spent), grant
        )

    def new_key(self, account_id: AccountId) -> PublicKey:
        """The key for an account that is to be created, on disk when this returns; asked again, the same key."""
        self.reload()
        known = self._keys.public_keys(account_id)
        return known[0] if known else self.generate(account_id)[0]

    def generate(
        self, account_id: AccountId, passphrase: str | None = None, *, more: bool = False
    ) -> tuple[PublicKey, Path]:
        """A new ed25519 key and its file; with `more` beside the account's others.

        Without a passphrase it is sealed like those that the account has already. SigningError `key_exists`, `key_locked`.
        """
        under = self._new_seal(passphrase) or self._seal_of(account_id)
        kept = self._keep(account_id, SecretKey.generate(), under, more=more)
        if passphrase is None:  # who gave one can open the file
            self._journal.note_made(kept[0])
        return kept

    def import_secret(
        self, account_id: AccountId, secret: str, passphrase: str | None = None
    ) -> tuple[PublicKey, Path]:
        """Keep a secret key that was given as text. SigningError `bad_key`, `key_exists`."""
        return self._keep(account_id, parse_secret(account_id, secret), self._new_seal(passphrase), more=False)

    def unlock(self, passphrase: str) -> dict[AccountId, tuple[PublicKey, ...]]:
        """Open every sealed key that the passphrase opens. SigningError `wrong_passphrase` where it opens none."""
        opened: dict[AccountId, tuple[PublicKey, ...]] = {}
        wrong: SigningError | None = None
        for one in read_sealed(self._folders.own, self._folders.network):
            if one.public_key in self._unsealed:
                continue
            try:
                self._unsealed[one.public_key] = _Unsealed(one.account_id, *unseal(one, passphrase))
            except SigningError as error:
                wrong = error
                continue
            opened[one.account_id] = (*opened.get(one.account_id, ()), one.public_key)
        if wrong is not None and not opened:
            raise wrong
        self.reload()
        return opened

    def endorse(self, grant_id: str, approval: ApproverSignature) -> tuple[int, int]:
        """Keep an approver's signature for a grant, which is verified when the grant is used; how many there are and how many
        it takes. SigningError `not_approver` for a key that the caps do not name.
        """
        known = self._caps.approvers
        if approval.public_key not in known.public_keys:
            raise SigningError(
                "not_approver", f"{approval.public_key} is not among the approvers in the signer's caps.toml"
            )
        self._journal.endorse(grant_id, approval)
        return len(self._journal.endorsements(grant_id)), known.needed

    def leave(self, account_id: AccountId, public_key: PublicKey) -> None:
        """Offer this key no more until the process ends; what was promised with it can still be signed."""
        self._leaving.add((account_id, public_key))

    def retire(self, account_id: AccountId, public_key: PublicKey) -> list[Path]:
        """Sign with a key no more: its files are renamed, its sealed file too. SigningError `key_not_retired`."""
        folders = self._folders
        try:
            retired = retire_key_files(folders.credentials_dir, folders.network, account_id, public_key)
            path = sealed_path(folders.own, folders.network, account_id, public_key)
            if path.exists():
                retired.append(path.replace(path.with_suffix(".retired")))
        except OSError as error:
            raise SigningError(
                "key_not_retired", f"the files of {public_key} cannot be renamed: {error.strerror}; move them away"
            ) from error
        self._unsealed.pop(public_key, None)
        self._leaving.discard((account_id, public_key))
        self.reload()
        return retired

    def _keep(self, account_id: AccountId, key: SecretKey, under: Seal | None, *, more: bool) -> tuple[PublicKey, Path]:
        folders = self._folders
        if under is not None:
            path = sealed_path(folders.own, folders.network, account_id, key.public_key)
        elif more:
            path = additional_path(folders.credentials_dir, folders.network, account_id, key.public_key)
        else:
            path = folders.first_path(account_id)
        try:
            if under is None:
                write_key_file(path, account_id, key)
            else:
                seal(path, account_id, key, under)
                self._unsealed[key.public_key] = _Unsealed(account_id, key, under)
        except FileExistsError:
            raise SigningError(
                "key_exists", f"{path} exists already and is never overwritten; move it away to replace the key"
            ) from None
        except OSError as error:
            raise SigningError("key_not_written", f"{path} cannot be written: {error.strerror}") from error
        self.reload()
        return key.public_key, path

    def _new_seal(self, passphrase: str | None) -> Seal | None:
        return None if passphrase is None else Seal.under(passphrase, cost=self._cost)

    def _seal_of(self, account_id: AccountId) -> Seal | None:
        """What the account's sealed keys are closed with; None where none is sealed. SigningError `key_locked`."""
        for one in self._unsealed.values():
            if one.account_id == account_id:
                return one.under
        if account_id in self.locked():
            raise SigningError(
                "key_locked", f"the keys of {account_id} are sealed; open them first: near-agent keys unlock"
            )
        return None

    def _spending(self, signing: PublicKey, receiver_id: AccountId, actions: Sequence[Action]) -> Spending:
        adds = any(isinstance(action, AddKey) for action in actions)
        own = self._own_keys(receiver_id) if adds and self._caps.set else frozenset[PublicKey]()
        return spending(receiver_id, actions, self._caps, own, signing)

    def _own_keys(self, account_id: AccountId) -> frozenset[PublicKey]:
        """Keys that nobody else has: made here, and where the account's keys are sealed, sealed like them.

        One that was imported, or sealed with a passphrase of its own, is known to whoever brought it.
        """
        own = self._journal.made().intersection(self.held().get(account_id, ()))
        sealed = {*(one.account_id for one in self._unsealed.values()), *self.locked()}
        return frozenset(PublicKey(key) for key in own if account_id not in sealed or key in self._unsealed)

    def _sign(self, asked: _Asked, grant: Grant) -> bytes:
        now, step = self._clock(), asked.step
        check_step(step, grant, chain_ids=self._chain_ids(grant), now=now)
        earlier = self._journal.of_grant(grant.grant_id)
        if any(entry.calls_hash != grant.calls_hash for entry in earlier.values()):
            raise SigningError(
                "grant_mismatch", f"grant {grant.grant_id} was used for other calls before; nothing was signed"
            )
        signature = self._keys.unsafe_sign_hash(step.signer_id, asked.public_key, asked.digest)
        if any(entry.digest == asked.digest.hex() for entry in earlier.values()):
            return signature
        place = _free_step(grant, step, earlier)
        reasons = over_caps(asked.spent, self._caps, self._sums(asked.spent, now))
        if reasons:
            self._ask_approvers(grant, reasons)
        # What approvers agreed to is no part of what goes without them.
        spent = {} if reasons else {token: amount for token, amount in asked.spent.amounts.items() if self._caps.set}
        entry = Entry(
            grant.grant_id,
            place,
            grant.calls_hash,
            asked.kind,
            step.signer_id,
            asked.public_key,
            asked.nonce,
            asked.digest.hex(),
        )
        self._journal.record(entry, spent, now)
        return signature

    def _sums(self, spent: Spending, now: float) -> dict[str, int]:
        return {token: self._journal.spent(token, now) for token in spent.amounts}

    def _ask_approvers(self, grant: Grant, reasons: tuple[str, ...]) -> None:
        known = self._caps.approvers
        handed_in = self._journal.endorsements(grant.grant_id)
        found = approvers_of(replace(grant, approvals=(*grant.approvals, *handed_in)), known)
        if found < known.needed:
            have = (
                f"{found} of {known.needed} approvers have signed for it (near-agent endorse, before the card is confirmed)"
                if known.public_keys
                else "no approvers are named in the signer's caps.toml"
            )
            raise SigningError(
                "over_cap",
                f"the signer's own caps: {'; '.join(reasons)}; {have}; nothing was signed",
                details={"reasons": list(reasons), "approvals": found, "needed": known.needed},
            )

    def _chain_ids(self, grant: Grant) -> tuple[str, ...]:
        """A public network's chain has its name; a localnet may be called anything else."""
        network = self._folders.network
        if network == "localnet" and grant.chain_id not in _PUBLIC_NETWORKS:
            return (grant.chain_id,)
        return (network,)


def _free_step(grant: Grant, step: Step, earlier: Mapping[int, Entry]) -> int:
    for place, digest in enumerate(grant.call_digests):
        if digest == step.digest and place not in earlier:
            return place
    raise SigningError(
        "step_signed",
        f"grant {grant.grant_id} was used for {step.what} already, with other bytes; nothing was signed now; "
        "ask again to get a new approval",
    )
