"""What the configuration's sections are made of: strict, frozen, with the kinds of text that several of them hold."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_PREFIXES: Final = ("sk-", "sk_", "na_", "gsk_", "hf_", "key-", "ed25519:", "secp256k1:", "Bearer ")
_ADDRESS = re.compile(r"https?://[^\s/]\S*")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("is not an http:// or https:// address")
    return text.rstrip("/")


def _variable(text: str) -> str:
    """Refuse what looks like the key itself; the message never repeats it."""
    long_and_mixed = len(text) >= 32 and any(c.islower() for c in text) and any(c.isdigit() for c in text)
    if text.startswith(_KEY_PREFIXES) or long_and_mixed:
        raise ValueError(
            "looks like a key; put the key into an environment variable and write that variable's name here"
        )
    if not _VARIABLE_NAME.fullmatch(text):
        raise ValueError("is not the name of an environment variable (letters, digits and _)")
    return text


Address: TypeAlias = Annotated[str, AfterValidator(_address)]
VariableName: TypeAlias = Annotated[str, AfterValidator(_variable)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
