"""The calls: what is read from the chain and what is sent to it, before any key, nonce or block hash.

NEAR's own terms: an action is one step of a transaction, all actions of one `ChangeCall` go to one receiver in one
transaction and roll back together.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Base64Bytes, Discriminator, PlainSerializer

from contracts.types import AccountId, CryptoHash, Gas, PublicKey, Yocto

YoctoField: TypeAlias = Annotated[Yocto, PlainSerializer(str, return_type=str, when_used="json")]
"""yoctoNEAR in a value that becomes JSON: a string there, because u128 does not fit a JSON number."""


@dataclass(frozen=True, slots=True)
class CreateAccount:
    kind: Literal["create_account"] = "create_account"


@dataclass(frozen=True, slots=True)
class DeployContract:
    code: Base64Bytes
    kind: Literal["deploy_contract"] = "deploy_contract"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    method_name: str
    args: Base64Bytes
    gas: Gas
    deposit: YoctoField
    kind: Literal["function_call"] = "function_call"


@dataclass(frozen=True, slots=True)
class Transfer:
    deposit: YoctoField
    kind: Literal["transfer"] = "transfer"


@dataclass(frozen=True, slots=True)
class Stake:
    stake: YoctoField
    public_key: PublicKey
    kind: Literal["stake"] = "stake"


@dataclass(frozen=True, slots=True)
class FullAccess:
    kind: Literal["full_access"] = "full_access"


@dataclass(frozen=True, slots=True)
class FunctionCallAccess:
    receiver_id: AccountId
    method_names: tuple[str, ...]
    """Empty: any method."""
    allowance: YoctoField | None
    """Pays gas only; None: unlimited."""
    kind: Literal["function_call_access"] = "function_call_access"


Permission: TypeAlias = Annotated[FullAccess | FunctionCallAccess, Discriminator("kind")]


@dataclass(frozen=True, slots=True)
class AddKey:
    public_key: PublicKey
    permission: Permission
    nonce: int = 0
    """Ignored by the chain, which starts a new key at (height - 1) x 10**6."""
    kind: Literal["add_key"] = "add_key"


@dataclass(frozen=True, slots=True)
class DeleteKey:
    public_key: PublicKey
    kind: Literal["delete_key"] = "delete_key"


@dataclass(frozen=True, slots=True)
class DeleteAccount:
    beneficiary_id: AccountId
    kind: Literal["delete_account"] = "delete_account"


Action: TypeAlias = Annotated[
    CreateAccount | DeployContract | FunctionCall | Transfer | Stake | AddKey | DeleteKey | DeleteAccount,
    Discriminator("kind"),
]


@dataclass(frozen=True, slots=True)
class ChangeCall:
    """One transaction to be: a receiver and 1..n actions that succeed or fail together."""

    receiver_id: AccountId
    actions: tuple[Action, ...]
    kind: Literal["change"] = "change"

    @property
    def deposit(self) -> Yocto:
        """NEAR that leaves the signer with this call, in yocto (gas and storage apart)."""
        return Yocto(sum(a.deposit for a in self.actions if isinstance(a, FunctionCall | Transfer)))

    @property
    def gas(self) -> Gas:
        """Gas attached to its function calls."""
        return Gas(sum(a.gas for a in self.actions if isinstance(a, FunctionCall)))


@dataclass(frozen=True, slots=True)
class ViewFunction:
    """A contract's view method; `args` are the raw bytes (JSON text for most contracts)."""

    contract_id: AccountId
    method_name: str
    args: Base64Bytes
    kind: Literal["view_function"] = "view_function"


@dataclass(frozen=True, slots=True)
class ViewAccount:
    account_id: AccountId
    kind: Literal["view_account"] = "view_account"


@dataclass(frozen=True, slots=True)
class ViewAccessKeys:
    account_id: AccountId
    kind: Literal["view_access_keys"] = "view_access_keys"


@dataclass(frozen=True, slots=True)
class ViewMethods:
    """What a contract can be asked: from its ABI, else from its code's exports."""

    contract_id: AccountId
    kind: Literal["view_methods"] = "view_methods"


@dataclass(frozen=True, slots=True)
class ViewTransaction:
    tx_hash: CryptoHash
    sender_id: AccountId
    kind: Literal["view_transaction"] = "view_transaction"


ViewCall: TypeAlias = Annotated[
    ViewFunction | ViewAccount | ViewAccessKeys | ViewMethods | ViewTransaction, Discriminator("kind")
]


@dataclass(frozen=True, slots=True)
class Grant:
    """A one-shot approval. The signer signs only transactions whose digest it lists; the ledger consumes it once.

    `calls_hash` covers chain id, signer id and every call in order (see `signing.transaction.calls_hash`);
    `call_digests[i]` is the digest of the i-th call alone, so that one step can be checked without the others' bytes.
    """

    grant_id: str
    calls_hash: str
    call_digests: tuple[str, ...]
    chain_id: str
    signer_id: AccountId
    identity: str
    channel: str
    expires_at: float
    """Unix seconds by the daemon's clock."""
