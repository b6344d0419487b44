"""What is known of each network: tokens with their decimals, the wrapped NEAR contract, explorer addresses.

The data lies in `data/NETWORK.json`, each entry with its source. A symbol is a convenience of this registry alone:
what a contract calls itself is never used to find it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contracts.errors import InvalidInput
from contracts.knowledge.inert import inert
from contracts.knowledge.lookalikes import lookalikes
from contracts.knowledge.names import did_you_mean, nearest
from contracts.types import AccountId, CryptoHash, format_units, near_text

Network: TypeAlias = Literal["localnet", "testnet", "mainnet"]

NETWORKS: Final[Mapping[str, Network]] = {"localnet": "localnet", "testnet": "testnet", "mainnet": "mainnet"}
"""By the word that a person writes."""
NEAR_SYMBOL: Final = "NEAR"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenEntry(_Data):
    """A token contract; `symbol` and `decimals` are None for one that the registry does not know."""

    contract_id: AccountId
    symbol: str | None = None
    chain_symbol: str | None = None
    """What the contract calls itself on chain, where that is not the registry's symbol."""
    decimals: Annotated[int, Field(ge=0, le=38)] | None = None
    wraps_near: bool = False
    source: str

    @property
    def name(self) -> str:
        """The registry's symbol, else the contract id."""
        return self.symbol or self.contract_id


AccountRole: TypeAlias = Literal["nft", "staking_pool", "dao"]


class KnownAccount(_Data):
    account_id: AccountId
    about: str
    role: AccountRole | None = None
    """What kind of contract it is, where it may keep something of an account's."""
    source: str


class Exchange(_Data):
    """Where swaps are made; it has ref-exchange's interface."""

    contract_id: AccountId
    source: str


class PoolNames(_Data):
    """How the names of staking pools of a known factory end. A hint: any contract with a pool's methods is one."""

    suffixes: tuple[str, ...]
    source: str


class KnownCode(_Data):
    """A released contract whose code is public."""

    code_hash: CryptoHash
    about: str
    source: str


class _Explorer(_Data):
    url: str
    source: str


class _NetworkData(_Data):
    network: Network
    account_suffix: str
    explorer_tx: _Explorer | None
    exchange: Exchange | None = None
    pools: PoolNames | None = None
    tokens: tuple[TokenEntry, ...]
    accounts: tuple[KnownAccount, ...]


def known_codes() -> tuple[KnownCode, ...]:
    """The code of released contracts, whatever account runs it on whatever network."""
    data = resources.files("contracts.knowledge").joinpath("data", "codes.json").read_bytes()
    return _CODES.validate_json(data)


_CODES: Final = TypeAdapter(tuple[KnownCode, ...])


@dataclass(frozen=True, slots=True)
class Registry:
    """One network's entries."""

    network: Network
    account_suffix: str
    """The end of account names that people register here: `near`, `testnet`, `localnet`."""
    tokens: Sequence[TokenEntry]
    """Those that an admin adds to a running daemon come to be among them."""
    accounts: tuple[KnownAccount, ...]
    explorer: str | None
    exchange: Exchange | None = None
    pools: PoolNames | None = None

    @classmethod
    def for_network(cls, network: Network) -> Self:
        """The registry of a network, read from the package's data."""
        text = resources.files("contracts.knowledge").joinpath("data", f"{network}.json").read_text(encoding="utf-8")
        data = _NetworkData.model_validate(json.loads(text))
        explorer = data.explorer_tx.url if data.explorer_tx else None
        return cls(data.network, data.account_suffix, data.tokens, data.accounts, explorer, data.exchange, data.pools)

    @property
    def by_symbol(self) -> Mapping[str, TokenEntry]:
        """Tokens by their symbol in lower case; one that several contracts claim is left out."""
        claimed = Counter(token.symbol.casefold() for token in self.tokens if token.symbol)
        return {
            token.symbol.casefold(): token
            for token in self.tokens
            if token.symbol and claimed[token.symbol.casefold()] == 1
        }

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(token.symbol for token in self.tokens if token.symbol)

    @property
    def account_ids(self) -> tuple[str, ...]:
        """Every account id that the registry knows."""
        return (*(token.contract_id for token in self.tokens), *(known.account_id for known in self.accounts))

    def with_role(self, role: AccountRole) -> tuple[AccountId, ...]:
        return tuple(known.account_id for known in self.accounts if known.role == role)

    def is_known_pool(self, account_id: AccountId) -> bool:
        """Whether its name is one that a known pool factory gives out."""
        return self.pools is not None and account_id.endswith(self.pools.suffixes)

    @property
    def wrap_id(self) -> AccountId:
        """The contract of wrapped NEAR."""
        return self.wrapped.contract_id

    @property
    def wrapped(self) -> TokenEntry:
        return next(token for token in self.tokens if token.wraps_near)

    def of_contract(self, contract_id: str) -> TokenEntry | None:
        return next((token for token in self.tokens if token.contract_id == contract_id), None)

    def amount(self, units: int, token_id: str) -> str:
        """Base units for people: `12.5 USDC`, or as they are where the token's decimals are not known."""
        if token_id == NEAR_SYMBOL:
            return near_text(units)
        token = self.of_contract(token_id)
        if token is None or token.decimals is None:
            return f"{units} base units of {token_id}"
        return f"{format_units(units, token.decimals)} {token.name}"

    def token(self, text: str) -> TokenEntry:
        """The token of a symbol (any case) or of a contract id; a contract that is not known here has no decimals.

        InvalidInput `native_token` for NEAR, `ambiguous_token` for a symbol that several contracts claim, `token_not_ascii`,
        `token_looks_alike` for a contract id that can be taken for a known one, `unknown_token` (with the nearest symbol)
        for what is neither.
        """
        if text.casefold() == NEAR_SYMBOL.casefold():
            raise InvalidInput(
                "native_token",
                "NEAR is the chain's own money and not a token contract: use near_balance and near_transfer, "
                f"or {self.wrapped.name} for wrapped NEAR, which near_wrap makes of NEAR",
                details={"token": text, "nearest": self.wrapped.symbol},
            )
        known = self.by_symbol.get(text.casefold()) or self.of_contract(text)
        if known:
            return known
        self._check_claims(text)
        suggestion = nearest(text, self.symbols)
        contract = _account(text)
        # A bare word close to a symbol is a misspelt symbol, although it would be a well-formed account id.
        if contract is None or (suggestion and contract.parent is None and contract.kind == "named"):
            raise InvalidInput(
                "unknown_token",
                f"no token {text[:80]!r} is known on {self.network}{did_you_mean(text, self.symbols)} "
                f"Known: {', '.join(self.symbols)}; any other by its contract's account id",
                details={"token": text[:80], "nearest": suggestion},
            )
        for like in lookalikes(contract, (token.contract_id for token in self.tokens)):
            if like.likeness == "same_shape":
                raise InvalidInput(
                    "token_looks_alike",
                    f"{contract} {like.words}, which is the token {self._name(like.known)}; "
                    f"if you mean that one, write {like.known}",
                    details={"token": contract, "nearest": like.known},
                )
        return TokenEntry(contract_id=contract, source="as written by the requester")

    def _name(self, contract_id: str) -> str:
        token = self.of_contract(contract_id)
        return token.name if token else contract_id

    def _check_claims(self, text: str) -> None:
        """Refuse a symbol that is not one token's alone, or that only looks like letters."""
        claims = [token for token in self.tokens if token.symbol and token.symbol.casefold() == text.casefold()]
        if claims:
            named = [f"{token.symbol} of {token.contract_id} ({token.source})" for token in claims]
            raise InvalidInput(
                "ambiguous_token",
                f"{text} is what {len(claims)} contracts are called: {'; '.join(named)}. Write the one you mean by its id",
                details={
                    "argument": "token",
                    "token": text[:80],
                    "readings": [str(token.contract_id) for token in claims],
                },
            )
        strange = next((character for character in text if not character.isascii()), None)
        if strange is not None:
            raise InvalidInput(
                "token_not_ascii",
                f"token {inert(text, 80)!r} contains {inert(strange, 12)!r} (U+{ord(strange):04X}), which is no Latin "
                "letter although it may look like one; symbols and ids are plain ASCII",
                details={"token": text[:80], "code_point": f"U+{ord(strange):04X}"},
            )

    def explorer_tx(self, tx_hash: CryptoHash) -> str | None:
        """Where people can look at a transaction; None where the network has no explorer."""
        return f"{self.explorer}{tx_hash}" if self.explorer else None


def _account(text: str) -> AccountId | None:
    try:
        return AccountId(text)
    except ValueError:
        return None
