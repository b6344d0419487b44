"""Actions applied to one account, per nearcore's `apply_action`.

Staking is kept simple because there are no validators: Stake locks at once, lowering it releases at once, there is no
minimum and no epoch to wait for. ETH-implicit (`0x`) and deterministic (`0s`) accounts come to life by a Transfer with
neither key nor contract, because this chain carries no wallet contract.
"""

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, assert_never

from pydantic import JsonValue

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    Delegate,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    DeployGlobalContract,
    DeterministicStateInit,
    FullAccess,
    FunctionCall,
    GlobalAccountId,
    GlobalCodeHash,
    GlobalContract,
    Stake,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    WithdrawFromGasKey,
)
from contracts.errors import ChainError, VmError
from contracts.signing.borsh import CURVES
from contracts.types import U64_MAX, AccountId, CryptoHash, PublicKey, Yocto
from contracts.vm.config import RuntimeConfig
from contracts.vm.delegates import use_delegate
from contracts.vm.engine import Engine
from contracts.vm.execution import BlockContext, CallContext, Execution, PendingReceipt
from contracts.vm.failures import action_error, no_code
from contracts.vm.fees import action_execution_gas, delegated_send_gas, execution_gas, prepaid_gas
from contracts.vm.global_contracts import (
    contract_bytes,
    init_state,
    pay_for_publishing,
    publishing_cost,
    use_global_contract,
)
from contracts.vm.host_promises import distribute_gas
from contracts.vm.host_work import HostWork
from contracts.vm.keys import (
    add_key,
    balance_too_high,
    delete_key,
    fill_gas_key,
    key_storage_bytes,
    purse,
    take_gas_back,
)
from contracts.vm.receipts import SYSTEM, ActionReceipt, DataReceiver, ReceivedData, derived_hash
from contracts.vm.state import AccessKey, Account, Overlay, contract_hash
from contracts.vm.validation import actions_error, storage_shortage

_NO_KEY: Final = PublicKey.from_bytes("ed25519", bytes(32))


@dataclass(slots=True)
class ReceiptDraft:
    """An action receipt in the making; its id depends on its place among all that the parent makes."""

    predecessor_id: AccountId
    receiver_id: AccountId
    signer_id: AccountId
    signer_public_key: PublicKey
    gas_price: Yocto
    actions: tuple[Action, ...]
    input_data_ids: tuple[CryptoHash, ...] = ()
    output_data_receivers: list[DataReceiver] = field(default_factory=list[DataReceiver])


def refund_draft(
    receiver_id: AccountId, amount: int, signer_id: AccountId = SYSTEM, key: PublicKey = _NO_KEY
) -> ReceiptDraft:
    """A refund; with the signer and key of the transaction it also gives gas back to that key's allowance."""
    return ReceiptDraft(SYSTEM, receiver_id, signer_id, key, Yocto(0), (Transfer(Yocto(amount)),))


class ReceiptRun:
    """One action receipt being applied. `overlay` is its own layer: the caller keeps or drops it as a whole."""

    def __init__(
        self,
        config: RuntimeConfig,
        engine: Engine,
        overlay: Overlay,
        block: BlockContext,
        receipt: ActionReceipt,
        promise_results: tuple[ReceivedData, ...],
        work: HostWork,
    ) -> None:
        self._config = config
        self._engine = engine
        self._overlay = overlay
        self._block = block
        self._receipt = receipt
        self._promise_results = promise_results
        self._work = work
        self.receipt_hash = receipt.receipt_id.raw
        self.account = overlay.account(receipt.receiver_id)
        self._actor_id = receipt.predecessor_id
        self.gas_burnt = config.action_receipt_creation.execution
        self.gas_used = self.gas_burnt
        self.function_call_gas = 0
        self.logs: list[str] = []
        self.drafts: list[ReceiptDraft] = []
        self.returned: bytes | ReceiptDraft = b""
        self.tokens_burnt = 0
        """yoctoNEAR burnt beside gas: what publishing costs, and what deleted gas keys held."""
        self.published: list[tuple[GlobalContract, bytes]] = []
        """Global contracts that are there once the receipt is done."""

    def apply(self, index: int) -> None:
        """Apply the receipt's action at `index`. ChainError (an ActionErrorKind) or VmError where it fails."""
        action, account_id = self._receipt.actions[index], self._receipt.receiver_id
        gas = action_execution_gas(self._config, action, account_id)
        self.gas_burnt += gas
        self.gas_used += gas
        self.returned = b""
        match action:
            case CreateAccount():
                self._create_account()
            case Transfer(deposit):
                self._transfer(deposit)
            case FunctionCall():
                self._function_call(index, action, self._existing())
            case DeployContract(code):
                self._deploy(code, self._owned())
            case Stake(stake):
                self._stake(stake, self._owned())
            case AddKey(public_key, permission):
                nonce = self._first_nonce()
                self.account = add_key(
                    self._config, self._overlay, account_id, self._owned(), public_key, permission, nonce
                )
            case DeleteKey(public_key):
                self.account, burnt = delete_key(self._config, self._overlay, account_id, self._owned(), public_key)
                self.tokens_burnt += burnt
            case DeleteAccount(beneficiary_id):
                self._delete_account(beneficiary_id, self._owned())
            case _:
                self._apply_newer(action)

    def _apply_newer(
        self,
        action: Delegate
        | DeployGlobalContract
        | UseGlobalContract
        | DeterministicStateInit
        | TransferToGasKey
        | WithdrawFromGasKey,
    ) -> None:
        account_id = self._receipt.receiver_id
        match action:
            case Delegate():
                self._existing()
                self._delegate(action)
            case DeployGlobalContract(code, deploy_mode):
                self.account = pay_for_publishing(self._config, account_id, self._owned(), code)
                self.tokens_burnt += publishing_cost(self._config, code)
                by_hash = deploy_mode == "code_hash"
                name = GlobalCodeHash(CryptoHash.of(code)) if by_hash else GlobalAccountId(account_id)
                self.published.append((name, code))
            case UseGlobalContract(contract):
                self.account = use_global_contract(self._overlay, self._owned(), contract)
            case DeterministicStateInit(_, deposit):
                self._init_state(action, deposit)
            case TransferToGasKey(public_key, deposit):
                self._existing()
                fill_gas_key(self._overlay, account_id, public_key, deposit)
            case WithdrawFromGasKey(public_key, amount):
                account = self._owned()
                fill_gas_key(self._overlay, account_id, public_key, -amount)
                self.account = replace(account, amount=account.amount + amount)
            case _:
                assert_never(action)

    def _existing(self) -> Account:
        if self.account is None:
            account_id = self._receipt.receiver_id
            raise action_error(
                "AccountDoesNotExist", f"account {account_id} does not exist", account_id=str(account_id)
            )
        return self.account

    def _owned(self) -> Account:
        """The account, where the one who acts is the account itself."""
        account, account_id = self._existing(), self._receipt.receiver_id
        if self._actor_id != account_id:
            raise action_error(
                "ActorNoPermission",
                f"{self._actor_id} may not do this to {account_id}",
                account_id=str(account_id),
                actor_id=str(self._actor_id),
            )
        return account

    def _create_account(self) -> None:
        account_id, predecessor_id = self._receipt.receiver_id, self._receipt.predecessor_id
        if self.account is not None:
            raise action_error(
                "AccountAlreadyExists", f"account {account_id} exists already", account_id=str(account_id)
            )
        if account_id.kind != "named":
            raise action_error(
                "OnlyImplicitAccountCreationAllowed",
                f"{account_id} comes to life by a transfer only",
                account_id=str(account_id),
            )
        self._check_name(account_id, predecessor_id)
        self._actor_id = account_id
        self.account = Account(0, 0, None, self._config.storage_num_bytes_account)

    def _check_name(self, account_id: AccountId, predecessor_id: AccountId) -> None:
        config = self._config
        if account_id.parent is not None:
            if account_id.parent != predecessor_id:
                raise action_error(
                    "CreateAccountNotAllowed",
                    f"{account_id} can only be created by {account_id.parent}",
                    account_id=str(account_id),
                    predecessor_id=str(predecessor_id),
                )
        elif (
            len(account_id) < config.min_allowed_top_level_account_length
            and predecessor_id != config.registrar_account_id
        ):
            raise action_error(
                "CreateAccountOnlyByRegistrar",
                f"{account_id} can only be created by {config.registrar_account_id}",
                account_id=str(account_id),
                registrar_account_id=str(config.registrar_account_id),
                predecessor_id=str(predecessor_id),
            )

    def _transfer(self, deposit: int) -> None:
        receipt = self._receipt
        if self.account is None:
            self._create_implicit(deposit)
            return
        is_gas = receipt.is_refund and receipt.signer_id == receipt.receiver_id
        if is_gas and take_gas_back(self._overlay, receipt.receiver_id, receipt.signer_public_key, deposit):
            return
        self.account = replace(self.account, amount=self.account.amount + deposit)

    def _create_implicit(self, deposit: int) -> None:
        """Only a transfer that stands alone and is no refund brings an implicit account to life."""
        account_id = self._receipt.receiver_id
        if account_id.kind == "named" or len(self._receipt.actions) > 1 or self._receipt.is_refund:
            self._existing()
        self._actor_id = account_id
        usage = self._config.storage_num_bytes_account
        if account_id.kind == "near_implicit":
            key = PublicKey.from_bytes("ed25519", bytes.fromhex(account_id))
            self._overlay.set_access_key(account_id, key, AccessKey(self._first_nonce(), FullAccess()))
            usage += key_storage_bytes(self._config, key, FullAccess())
        self.account = Account(deposit, 0, None, usage)

    def _first_nonce(self) -> int:
        return (self._block.height - 1) * self._config.nonce_range_multiplier

    def _deploy(self, code: bytes, account: Account) -> None:
        code_hash = self._overlay.add_code(code)
        usage = account.storage_usage - contract_bytes(self._overlay, account) + len(code)
        self.account = replace(account, code_hash=code_hash, global_contract=None, storage_usage=usage)

    def _init_state(self, action: DeterministicStateInit, deposit: int) -> None:
        """The deposit covers what storage needs; the rest goes back."""
        receipt = self._receipt
        account = init_state(self._config, self._overlay, receipt.receiver_id, self.account, action)
        kept = min(deposit, storage_shortage(account, self._config))
        self.account = replace(account, amount=account.amount + kept)
        if deposit > kept:
            self.drafts.append(refund_draft(receipt.predecessor_id, deposit - kept))

    def _delegate(self, action: Delegate) -> None:
        """What the delegate action holds goes on in a receipt of its sender; the relayer has bought its gas."""
        receipt, config = self._receipt, self._config
        inner = use_delegate(config, self._overlay, self._block.height, receipt.receiver_id, action)
        sending = delegated_send_gas(config, (action,))
        self.gas_burnt += sending
        self.gas_used += sending + prepaid_gas(inner.actions) + execution_gas(config, inner.actions, inner.receiver_id)
        self.drafts.append(
            ReceiptDraft(
                predecessor_id=receipt.receiver_id,
                receiver_id=inner.receiver_id,
                signer_id=receipt.signer_id,
                signer_public_key=receipt.signer_public_key,
                gas_price=receipt.gas_price,
                actions=inner.actions,
            )
        )

    def _stake(self, stake: int, account: Account) -> None:
        account_id = self._receipt.receiver_id
        if not stake and not account.locked:
            raise action_error("TriesToUnstake", f"{account_id} has no stake", account_id=str(account_id))
        if stake > account.locked + account.amount:
            raise action_error(
                "TriesToStake",
                f"{account_id} cannot stake {stake} yoctoNEAR",
                account_id=str(account_id),
                stake=str(stake),
                locked=str(account.locked),
                balance=str(account.amount),
            )
        self.account = replace(account, amount=account.amount + account.locked - stake, locked=stake)

    def _delete_account(self, beneficiary_id: AccountId, account: Account) -> None:
        account_id = self._receipt.receiver_id
        if account.locked:
            raise action_error("DeleteAccountStaking", f"{account_id} is staking", account_id=str(account_id))
        if account.storage_usage - contract_bytes(self._overlay, account) > self._config.max_deletable_state_bytes:
            raise action_error(
                "DeleteAccountWithLargeState",
                f"{account_id} has more than {self._config.max_deletable_state_bytes} bytes of state",
                account_id=str(account_id),
            )
        held = sum(purse(access_key) for _, access_key in self._overlay.access_keys(account_id))
        if held > self._config.max_gas_key_balance_to_burn:
            raise balance_too_high(account_id, held, None)
        self.tokens_burnt += held
        if account.amount:
            self.drafts.append(refund_draft(beneficiary_id, account.amount))
        self._overlay.delete_account(account_id)
        self._actor_id = self._receipt.predecessor_id
        self.account = None

    def _function_call(self, index: int, action: FunctionCall, account: Account) -> None:
        execution = Execution(self._context(index, action), account, self._overlay, self._work)
        try:
            run_contract(self._engine, execution)
        except VmError:
            burnt = max(0, min(execution.burnt, execution.gas_limit - execution.promised))
            self._count_call(burnt, burnt, execution.logs)
            raise
        used = execution.burnt + execution.promised
        used += distribute_gas(execution, action.gas - used)
        self._count_call(execution.burnt, used, execution.logs)
        self.account = replace(account, amount=execution.balance, storage_usage=execution.storage_usage)
        drafts = [self._draft(pending) for pending in execution.receipts]
        for draft in drafts:
            self._check_draft(draft)
        self.drafts.extend(drafts)
        self.returned = execution.returned if execution.returned_receipt is None else drafts[execution.returned_receipt]

    def _count_call(self, burnt: int, used: int, logs: list[str]) -> None:
        self.gas_burnt += burnt
        self.gas_used += used
        self.function_call_gas += burnt
        self.logs.extend(logs)

    def _context(self, index: int, action: FunctionCall) -> CallContext:
        receipt, block = self._receipt, self._block
        action_hash = derived_hash(self.receipt_hash, block.height, U64_MAX - index)
        is_last = index == len(receipt.actions) - 1
        return CallContext(
            config=self._config,
            block=block,
            current_account_id=receipt.receiver_id,
            signer_account_id=receipt.signer_id,
            signer_public_key=_borsh_key(receipt.signer_public_key),
            predecessor_account_id=receipt.predecessor_id,
            method_name=action.method_name,
            input=action.args,
            prepaid_gas=action.gas,
            attached_deposit=action.deposit,
            random_seed=hashlib.sha256(action_hash + block.random_seed).digest(),
            action_hash=action_hash,
            promise_results=self._promise_results,
            output_data_receivers=tuple(item.receiver_id for item in receipt.output_data_receivers) if is_last else (),
        )

    def _draft(self, pending: PendingReceipt) -> ReceiptDraft:
        return ReceiptDraft(
            predecessor_id=self._receipt.receiver_id,
            receiver_id=pending.receiver_id,
            signer_id=self._receipt.signer_id,
            signer_public_key=self._receipt.signer_public_key,
            gas_price=self._receipt.gas_price,
            actions=tuple(pending.actions),
            input_data_ids=tuple(pending.input_data_ids),
            output_data_receivers=pending.output_data_receivers,
        )

    def _check_draft(self, draft: ReceiptDraft) -> None:
        """A receipt that a contract made must hold to the limits of any other."""
        limits = self._config.limits
        size = sum(_action_bytes(action) for action in draft.actions)
        problem: JsonValue = None
        if size > limits.max_receipt_size:
            problem = {"ReceiptSizeExceeded": {"size": size, "limit": limits.max_receipt_size}}
        elif len(draft.input_data_ids) > limits.max_number_input_data_dependencies:
            problem = {
                "NumberInputDataDependenciesExceeded": {
                    "number_of_input_data_dependencies": len(draft.input_data_ids),
                    "limit": limits.max_number_input_data_dependencies,
                }
            }
        else:
            error = actions_error(self._config, draft.actions, draft.receiver_id)
            problem = {"ActionsValidation": error} if error is not None else None
        if problem is not None:
            raise ChainError(
                "NewReceiptValidationError",
                f"a receipt for {draft.receiver_id} is not valid: {problem}",
                details={"NewReceiptValidationError": problem},
            )


def run_contract(engine: Engine, execution: Execution) -> None:
    """Load the account's code and run the method; VmError for whatever stops it."""
    code_hash = contract_hash(execution.overlay, execution.account)
    code = execution.overlay.code(code_hash) if code_hash is not None else None
    if code_hash is None or code is None:
        raise no_code(execution.context.current_account_id)
    engine.run(engine.load(code_hash, code, execution.limits), execution)


@lru_cache(maxsize=1024)
def _borsh_key(key: PublicKey) -> bytes:
    return bytes((CURVES[key.curve],)) + key.raw


def _action_bytes(action: Action) -> int:
    match action:
        case FunctionCall(method_name, args):
            return len(args) + len(method_name.encode())
        case DeployContract(code) | DeployGlobalContract(code):
            return len(code)
        case _:
            return 0
