"""Delegate actions (NEP-366): may this signed message act for its sender, once, now? Per nearcore's `apply_delegate_action`."""

from dataclasses import replace

from pydantic import JsonValue

from contracts.calls import Delegate, DelegateAction, GasKeyFullAccess, GasKeyFunctionCallAccess
from contracts.errors import ChainError
from contracts.signing.messages import delegate_hash
from contracts.signing.signatures import verify
from contracts.types import AccountId
from contracts.vm.config import RuntimeConfig
from contracts.vm.failures import action_error
from contracts.vm.state import AccessKey, Overlay
from contracts.vm.validation import function_call_error


def use_delegate(
    config: RuntimeConfig, overlay: Overlay, height: int, account_id: AccountId, signed: Delegate
) -> DelegateAction:
    """The delegate action, its nonce used up. ChainError (an ActionErrorKind) where it may not act for `account_id`."""
    action = signed.delegate_action
    if not verify(action.public_key, delegate_hash(action), signed.signature):
        raise action_error(
            "DelegateActionInvalidSignature", f"the delegate action is not signed by {action.public_key}"
        )
    if height > action.max_block_height:
        raise action_error(
            "DelegateActionExpired",
            f"the delegate action ran out at height {action.max_block_height}, this is {height}",
        )
    if action.sender_id != account_id:
        raise action_error(
            "DelegateActionSenderDoesNotMatchTxReceiver",
            f"the delegate action is of {action.sender_id}, the transaction went to {account_id}",
            sender_id=str(action.sender_id),
            receiver_id=str(account_id),
        )
    access_key = _key(overlay, action)
    _check_nonce(config, action.nonce, access_key.nonce, height)
    error = function_call_error(action.receiver_id, action.actions, access_key.permission)
    if error is not None:
        raise _key_error(error)
    overlay.set_access_key(account_id, action.public_key, replace(access_key, nonce=action.nonce))
    return action


def _key(overlay: Overlay, action: DelegateAction) -> AccessKey:
    access_key = overlay.access_key(action.sender_id, action.public_key)
    if access_key is None:
        fields: JsonValue = {"account_id": str(action.sender_id), "public_key": action.public_key.listed}
        raise _key_error({"AccessKeyNotFound": fields})
    if isinstance(access_key.permission, GasKeyFullAccess | GasKeyFunctionCallAccess):
        raise _key_error("DelegateActionRequiresNonGasKey")
    return access_key


def _check_nonce(config: RuntimeConfig, nonce: int, key_nonce: int, height: int) -> None:
    if nonce <= key_nonce:
        raise action_error(
            "DelegateActionInvalidNonce",
            f"the delegate action's nonce {nonce} is not above the key's {key_nonce}",
            delegate_nonce=nonce,
            ak_nonce=key_nonce,
        )
    bound = height * config.nonce_range_multiplier
    if nonce >= bound:
        raise action_error(
            "DelegateActionNonceTooLarge",
            f"the delegate action's nonce {nonce} is not below {bound}",
            delegate_nonce=nonce,
            upper_bound=bound,
        )


def _key_error(error: JsonValue) -> ChainError:
    return ChainError(
        "DelegateActionAccessKeyError",
        f"the delegate action's key may not do this: {error}",
        details={"DelegateActionAccessKeyError": error},
    )
