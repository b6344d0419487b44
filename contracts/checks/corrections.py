"""What to do about a failure, in plain words, from the texts by which contracts and the chain refuse. Pure."""

import re
from typing import Final

_CORRECTIONS: Final = (
    (
        re.compile(r"not registered"),
        "register the account first: storage_deposit for it, with that contract; until then it holds no tokens there",
    ),
    (
        re.compile(
            r"enough (balance|tokens|funds)|NotEnoughBalance|balance .{0,80}(too low|insufficient)|Insufficient"
        ),
        "send less",
    ),
    (re.compile(r"Exceeded the prepaid gas"), "attach more gas"),
    (re.compile(r"attached deposit of exactly 1 yocto|exactly 1 yocto"), "attach a deposit of 1 yoctoNEAR"),
    (re.compile(r"attached deposit|deposit is less|Not enough (deposit|attached)"), "attach a larger deposit"),
    (re.compile(r"no such method|MethodNotFound|Method is not found"), "ask for its methods: /contract_methods"),
    (re.compile(r"no contract on|CodeDoesNotExist"), "check the contract's account id"),
    (re.compile(r"NotEnoughAllowance"), "the key's allowance is used up: use another key of the account"),
    (re.compile(r"LackBalanceForState"), "leave more NEAR on that account: its storage holds it"),
    (re.compile(r"AccountDoesNotExist|does not exist"), "check the account id; it must be there first"),
    (re.compile(r"AccountAlreadyExists"), "choose another name: this account is taken"),
    (
        re.compile(r"missing field|deserialize|invalid type|Failed to parse"),
        "correct the arguments: the contract does not read them",
    ),
    (
        re.compile(r"only .{0,80}(owner|predecessor)|[Uu]nauthorized|not allowed|PERMISSION|Permission"),
        "this account may not do it",
    ),
    (re.compile(r"should be a positive number|greater than 0|non-?zero"), "send more than nothing"),
    (re.compile(r"should be different|to itself"), "choose a receiver other than the sender"),
    (re.compile(r"WRONG_KIND"), "look at the proposal again: it is of another kind than was voted on"),
    (re.compile(r"slippage|MIN_AMOUNT|min_amount"), "the price has moved: ask for the swap again"),
)


_LACKS_TOKENS: Final = re.compile(r"not registered|enough (balance|tokens|funds)|NotEnoughBalance|Insufficient")


def correction_of(failure: str, *, sends_wrapped: bool = False) -> str | None:
    """Return what to change so that it goes; None if the text says nothing that is known.

    `sends_wrapped`: the sender itself, whom the text names, moves wrapped NEAR, which wrapping brings with its registration.
    """
    if sends_wrapped and _LACKS_TOKENS.search(failure):
        return "wrap NEAR first: /near_wrap AMOUNT; it also registers the account"
    return next((todo for pattern, todo in _CORRECTIONS if pattern.search(failure)), None)
