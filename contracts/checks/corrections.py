"""What to do about a failure, in plain words, from the texts by which contracts and the chain refuse. Pure."""

import re
from typing import Final

_CORRECTIONS: Final = (
    (
        r"not registered",
        "register the account first: storage_deposit for it, with that contract; until then it holds no tokens there",
    ),
    (r"enough (balance|tokens|funds)|NotEnoughBalance|balance .*(too low|insufficient)|Insufficient", "send less"),
    (r"Exceeded the prepaid gas", "attach more gas"),
    (r"attached deposit of exactly 1 yocto|exactly 1 yocto", "attach a deposit of 1 yoctoNEAR"),
    (r"attached deposit|deposit is less|Not enough (deposit|attached)", "attach a larger deposit"),
    (r"no such method|MethodNotFound|Method is not found", "ask for its methods: /contract_methods"),
    (r"no contract on|CodeDoesNotExist", "check the contract's account id"),
    (r"NotEnoughAllowance", "the key's allowance is used up: use another key of the account"),
    (r"LackBalanceForState", "leave more NEAR on that account: its storage holds it"),
    (r"AccountDoesNotExist|does not exist", "check the account id; it must be there first"),
    (r"AccountAlreadyExists", "choose another name: this account is taken"),
    (
        r"missing field|deserialize|invalid type|Failed to parse",
        "correct the arguments: the contract does not read them",
    ),
    (r"only .*(owner|predecessor)|[Uu]nauthorized|not allowed|PERMISSION|Permission", "this account may not do it"),
    (r"should be a positive number|greater than 0|non-?zero", "send more than nothing"),
    (r"should be different|to itself", "choose a receiver other than the sender"),
    (r"WRONG_KIND", "look at the proposal again: it is of another kind than was voted on"),
    (r"slippage|MIN_AMOUNT|min_amount", "the price has moved: ask for the swap again"),
)


_LACKS_TOKENS: Final = re.compile(r"not registered|enough (balance|tokens|funds)|NotEnoughBalance|Insufficient")


def correction_of(failure: str, *, sends_wrapped: bool = False) -> str | None:
    """Return what to change so that it goes; None if the text says nothing that is known.

    `sends_wrapped`: the sender itself, whom the text names, moves wrapped NEAR, which wrapping brings with its registration.
    """
    if sends_wrapped and _LACKS_TOKENS.search(failure):
        return "wrap NEAR first: /near_wrap AMOUNT; it also registers the account"
    return next((todo for pattern, todo in _CORRECTIONS if re.search(pattern, failure)), None)
