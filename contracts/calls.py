"""The calls: what is read from the chain and what is sent to it, before any key, nonce or block hash.

NEAR's own terms: an action is one step of a transaction, all actions of one `ChangeCall` go to one receiver in one
transaction and roll back together.
"""

from collections.abc import Iterable
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


@dataclass(frozen=True, slots=True)
class GasKeyFullAccess:
    """Protocol 85: a key with a purse for gas and `num_nonces` nonces of its own; signs V1 transactions."""

    balance: YoctoField
    """0 in an action; the chain keeps what TransferToGasKey put there."""
    num_nonces: int
    """1 to 1024."""
    kind: Literal["gas_key_full_access"] = "gas_key_full_access"


@dataclass(frozen=True, slots=True)
class GasKeyFunctionCallAccess:
    """A gas key that may only call methods of one contract."""

    balance: YoctoField
    num_nonces: int
    receiver_id: AccountId
    method_names: tuple[str, ...]
    allowance: YoctoField | None = None
    """The chain takes None only: the purse is the limit."""
    kind: Literal["gas_key_function_call_access"] = "gas_key_function_call_access"


GasKey: TypeAlias = GasKeyFullAccess | GasKeyFunctionCallAccess
Permission: TypeAlias = Annotated[
    FullAccess | FunctionCallAccess | GasKeyFullAccess | GasKeyFunctionCallAccess, Discriminator("kind")
]


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


@dataclass(frozen=True, slots=True)
class GlobalCodeHash:
    """A global contract named by the sha256 of its code; it never changes."""

    code_hash: CryptoHash
    kind: Literal["code_hash"] = "code_hash"


@dataclass(frozen=True, slots=True)
class GlobalAccountId:
    """A global contract named by the account that published it, who can replace it for all its users."""

    account_id: AccountId
    kind: Literal["account_id"] = "account_id"


GlobalContract: TypeAlias = Annotated[GlobalCodeHash | GlobalAccountId, Discriminator("kind")]


@dataclass(frozen=True, slots=True)
class DeployGlobalContract:
    """NEP-591; burns 1e20 yoctoNEAR for each byte of code."""

    code: Base64Bytes
    deploy_mode: Literal["code_hash", "account_id"]
    kind: Literal["deploy_global_contract"] = "deploy_global_contract"


@dataclass(frozen=True, slots=True)
class UseGlobalContract:
    contract: GlobalContract
    kind: Literal["use_global_contract"] = "use_global_contract"


@dataclass(frozen=True, slots=True)
class StateInit:
    """What a deterministic (`0s`) account is made of, and what its id is the hash of (NEP-616)."""

    code: GlobalContract
    data: tuple[tuple[Base64Bytes, Base64Bytes], ...]
    """Records, sorted by key, each key once."""


@dataclass(frozen=True, slots=True)
class DeterministicStateInit:
    state_init: StateInit
    deposit: YoctoField
    kind: Literal["deterministic_state_init"] = "deterministic_state_init"


@dataclass(frozen=True, slots=True)
class TransferToGasKey:
    public_key: PublicKey
    deposit: YoctoField
    kind: Literal["transfer_to_gas_key"] = "transfer_to_gas_key"


@dataclass(frozen=True, slots=True)
class WithdrawFromGasKey:
    public_key: PublicKey
    amount: YoctoField
    kind: Literal["withdraw_from_gas_key"] = "withdraw_from_gas_key"


PlainAction: TypeAlias = Annotated[
    CreateAccount
    | DeployContract
    | FunctionCall
    | Transfer
    | Stake
    | AddKey
    | DeleteKey
    | DeleteAccount
    | DeployGlobalContract
    | UseGlobalContract
    | DeterministicStateInit
    | TransferToGasKey
    | WithdrawFromGasKey,
    Discriminator("kind"),
]
"""Every action that can stand inside a delegate action."""


@dataclass(frozen=True, slots=True)
class DelegateAction:
    """NEP-366: what `sender_id` lets anybody carry out in its name, once, until `max_block_height`."""

    sender_id: AccountId
    receiver_id: AccountId
    actions: tuple[PlainAction, ...]
    nonce: int
    """Of the sender's key, not of the relayer's."""
    max_block_height: int
    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class Delegate:
    """A signed delegate action; the transaction that carries it goes to its sender."""

    delegate_action: DelegateAction
    signature: Base64Bytes
    """By the delegate's key, over `signing.messages.delegate_hash`."""
    kind: Literal["delegate"] = "delegate"


Action: TypeAlias = Annotated[
    CreateAccount
    | DeployContract
    | FunctionCall
    | Transfer
    | Stake
    | AddKey
    | DeleteKey
    | DeleteAccount
    | DeployGlobalContract
    | UseGlobalContract
    | DeterministicStateInit
    | TransferToGasKey
    | WithdrawFromGasKey
    | Delegate,
    Discriminator("kind"),
]


def total_deposit(actions: Iterable[Action]) -> int:
    """yoctoNEAR that actions take from whoever sends them; a relayer pays for what a delegate action holds."""
    total = 0
    for action in actions:
        match action:
            case FunctionCall() | Transfer() | DeterministicStateInit() | TransferToGasKey():
                total += action.deposit
            case Delegate(delegate_action):
                total += total_deposit(delegate_action.actions)
            case _:
                pass
    return total


def total_gas(actions: Iterable[Action]) -> int:
    """Gas attached to function calls, also to those inside a delegate action."""
    total = 0
    for action in actions:
        match action:
            case FunctionCall():
                total += action.gas
            case Delegate(delegate_action):
                total += total_gas(delegate_action.actions)
            case _:
                pass
    return total


@dataclass(frozen=True, slots=True)
class ChangeCall:
    """One transaction to be: a receiver and 1..n actions that succeed or fail together."""

    receiver_id: AccountId
    actions: tuple[Action, ...]
    kind: Literal["change"] = "change"

    @property
    def deposit(self) -> Yocto:
        """NEAR that leaves the signer with this call, in yocto (gas and storage apart)."""
        return Yocto(total_deposit(self.actions))

    @property
    def gas(self) -> Gas:
        """Gas attached to its function calls."""
        return Gas(total_gas(self.actions))

    @property
    def calls_contract(self) -> bool:
        return any(isinstance(action, FunctionCall) for action in self.actions)


@dataclass(frozen=True, slots=True)
class SetOff:
    """What a vote makes another account do, if not at once then when enough have voted: nothing of it is in the vote's bytes."""

    payer_id: AccountId
    """The DAO."""
    proposal_id: int
    calls: tuple[ChangeCall, ...]
    """Its own, with itself as their signer."""
    whole: bool = True
    """False: it pays something besides that cannot be read."""
    bond: int = 0
    """yoctoNEAR that go back to the proposer with it."""


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
class ApproverSignature:
    """An approver's NEP-413 signature over what a grant covers (`signing.approvals.approval_message`)."""

    public_key: PublicKey
    signature: Base64Bytes


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
    approvals: tuple[ApproverSignature, ...] = ()
    """Wanted by the signer where its own caps are exceeded, and by nobody else."""
