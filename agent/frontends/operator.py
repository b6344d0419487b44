"""What the person at the daemon's machine may do: see all waiting cards, approve by request id, make and revoke API keys.

Served under `/v1/near/` to the holder of the data folder's `operator_key`, and used directly where no daemon runs. Cards
are shown with their request ids, never with their codes.
"""

import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol, TypeAlias, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from agent.errors import DaemonError, RequestError
from agent.frontends.bodies import Bodies
from agent.frontends.errors import no_key
from agent.frontends.running import RunningRequests
from agent.frontends.seams import CardDesk, Progress
from agent.frontends.wire import MAX_HEADER_ID
from agent.planning.vocabulary import Vocabulary
from agent.records import Identity, Reply
from agent.store.api_keys import ApiKey
from agent.store.cards import OpenCards, PendingCard
from contracts.calls import ChangeCall
from contracts.chain.ledger import Lane, LaneRecord
from contracts.errors import RpcError
from contracts.types import AccountId, JsonObject, PublicKey

_CALLS: Final[TypeAdapter[tuple[ChangeCall, ...]]] = TypeAdapter(tuple[ChangeCall, ...])
KEY_ID: Final = "operator"
"""In records, who approved by request id; also the name of the channel."""


ShortText: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_HEADER_ID)]
"""An id that somebody wrote; it goes into a record, also where nothing has it."""


class Cards(Protocol):
    async def open_cards(self, now: float) -> OpenCards: ...

    async def by_request(self, request_id: str) -> PendingCard | None: ...


class ApiKeys(Protocol):
    async def create(self, account_id: str, may_confirm: bool) -> tuple[str, str]: ...  # noqa: FBT001 -- the store's

    async def list(self) -> list[ApiKey]: ...

    async def revoke(self, key_id: str) -> bool: ...


class Lanes(Protocol):
    """What an operator decides about transactions and keys in doubt (`agent.operations.cancelling`)."""

    async def cancel(self, identity: Identity, what: str, progress: Progress | None = None) -> Reply:
        """Fence what is open of a request or of a transaction hash."""
        ...

    async def acknowledge_key(
        self, account_id: AccountId, public_key: PublicKey
    ) -> tuple[Sequence[tuple[Lane, LaneRecord]], int]:
        """Go on with a key that something else has used. RpcError where the chain cannot be read."""
        ...


class KeyRotation(Protocol):
    async def rotate(
        self, identity: Identity, account_id: AccountId, old: PublicKey | None, progress: Progress | None = None
    ) -> Reply:
        """Replace a key of an account by a new one (`agent.operations.rotating`)."""
        ...


class AddedContracts(Protocol):
    """Contracts whose methods are actions (`agent.operations.onboarding`)."""

    async def add(self, written: str) -> JsonObject: ...

    async def listed(self) -> JsonObject: ...

    async def remove(self, written: str) -> JsonObject: ...


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Approval(_Strict):
    request_id: ShortText


class _Cancel(_Strict):
    what: ShortText
    """A request's id or a transaction hash."""


class _Acknowledge(_Strict):
    account_id: str
    public_key: str


class _Rotate(_Strict):
    account_id: str
    public_key: str | None = None
    """Which key is replaced; None: the only one."""


class _Contract(_Strict):
    account_id: str


class _NewKey(_Strict):
    account_id: str | None = None
    """None: the account of the first key."""
    may_confirm: bool | None = None
    """None: on localnet only."""


_BodyT = TypeVar("_BodyT", bound=_Strict)


class Operator:
    """Answers the operator. Errors: RequestError `not_found`, `invalid_value`; StoreError."""

    def __init__(
        self,
        pipeline: CardDesk,
        cards: Cards,
        api_keys: ApiKeys,
        first: Identity,
        clock: Callable[[], float],
        *,
        lanes: Lanes,
        rotation: KeyRotation,
        contracts: AddedContracts,
        vocabulary: Vocabulary,
    ) -> None:
        self.contracts = contracts
        self._vocabulary = vocabulary
        self._first = first
        self._rotation = rotation
        self._lanes = lanes
        self._pipeline = pipeline
        self._cards = cards
        self._api_keys = api_keys
        self._clock = clock

    async def list_cards(self) -> JsonObject:
        """All cards that wait, oldest first, never their codes; and the request ids of those that are damaged."""
        found = await self._cards.open_cards(self._clock())
        return {"cards": [shown_card(card) for card in found.readable], "unreadable": [*found.damaged]}

    async def approve(self, request_id: str, progress: Progress | None = None) -> Reply:
        """Carry out what a card says; a card that was carried out gets its stored result told."""
        card = await self._cards.by_request(request_id)
        account_id = card.signer_id if card else self._first.account_id
        identity = Identity(key_id=KEY_ID, account_id=account_id, may_confirm=True)
        return await self._pipeline.approve_by_request(identity, request_id, KEY_ID, progress)

    async def drop(self, request_id: str, progress: Progress | None = None) -> Reply:
        """Cancel a card that waits, whoever it belongs to."""
        identity = Identity(key_id=KEY_ID, account_id=self._first.account_id, may_confirm=True)
        return await self._pipeline.drop_by_request(identity, request_id, progress)

    async def cancel_tx(self, what: str, progress: Progress | None = None) -> Reply:
        """End a transaction of unknown end by a fence."""
        identity = Identity(key_id=KEY_ID, account_id=self._first.account_id, may_confirm=True)
        return await self._lanes.cancel(identity, what, progress)

    async def acknowledge_key(self, account_id: str, public_key: str) -> JsonObject:
        """Go on with a key that something else has used; the account's pending cards are void then. RequestError `not_found`."""
        try:
            account, key = AccountId(account_id), PublicKey(public_key)
        except ValueError as error:
            raise RequestError("invalid_value", str(error), param="public_key") from None
        lanes, voided = await self._lanes.acknowledge_key(account, key)
        if not lanes:
            raise RequestError(
                "not_found",
                f"key {key} of {account} is neither in the ledger nor held by the signer",
                param="public_key",
            )
        return {
            "account_id": account,
            "lanes": [{"lane": lane.name, "nonce": str(record.nonce)} for lane, record in lanes],
            "voided_cards": voided,
        }

    async def rotate_key(self, account_id: str, public_key: str | None, progress: Progress | None = None) -> Reply:
        """Replace a key of an account; goes on with a rotation that was begun."""
        try:
            account, old = AccountId(account_id), None if public_key is None else PublicKey(public_key)
        except ValueError as error:
            raise RequestError("invalid_value", str(error), param="account_id") from None
        identity = Identity(key_id=KEY_ID, account_id=account, may_confirm=True)
        return await self._rotation.rotate(identity, account, old, progress)

    async def names(self) -> JsonObject:
        """The words that a command line completes, in the form of `Vocabulary.shown`."""
        keys = await self._api_keys.list()
        own = (key.account_id for key in keys if key.revoked_at is None)
        return self._vocabulary.shown((self._first.account_id, *own))

    async def create_key(self, account_id: str | None, may_confirm: bool | None) -> JsonObject:  # noqa: FBT001 -- two
        """A new key with its plain text, which is shown this once; what is None is as the first key has it."""
        try:
            account = AccountId(account_id or self._first.account_id)
        except ValueError as error:
            raise RequestError("invalid_value", str(error), param="account_id") from None
        confirms = self._first.may_confirm if may_confirm is None else may_confirm
        key_id, plaintext = await self._api_keys.create(account, confirms)
        return {"key_id": key_id, "account_id": account, "may_confirm": confirms, "api_key": plaintext}

    async def list_keys(self) -> JsonObject:
        keys = await self._api_keys.list()
        return {
            "api_keys": [
                {
                    "key_id": key.key_id,
                    "account_id": key.account_id,
                    "may_confirm": key.may_confirm,
                    "created_at": key.created_at,
                    "revoked_at": key.revoked_at,
                }
                for key in keys
            ]
        }

    async def revoke_key(self, key_id: str) -> JsonObject:
        if not await self._api_keys.revoke(key_id):
            raise RequestError(
                "not_found",
                f"no key {key_id[:80]!r} is in force; near-agent api-keys list shows them",
                param="key_id",
            )
        return {"key_id": key_id, "revoked": True}


class OperatorApi:
    """The operator's routes, for who holds `key`."""

    def __init__(
        self,
        operator: Operator,
        running: RunningRequests,
        bodies: Bodies,
        key: str,
        answer: Callable[[Reply], JsonObject],
    ) -> None:
        self._operator = operator
        self._running = running
        self._bodies = bodies
        self._key = key
        self._answer = answer

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/near/cards", self._cards),
            web.post("/v1/near/cards/approve", self._approve),
            web.post("/v1/near/cards/drop", self._drop),
            web.post("/v1/near/transactions/cancel", self._cancel_tx),
            web.post("/v1/near/keys/rotate", self._rotate_key),
            web.post("/v1/near/lanes/acknowledge", self._acknowledge_key),
            web.get("/v1/near/api-keys", self._list_keys),
            web.post("/v1/near/api-keys", self._create_key),
            web.delete("/v1/near/api-keys/{key_id}", self._revoke_key),
            web.get("/v1/near/names", self._names),
            web.get("/v1/near/contracts", self._list_contracts),
            web.post("/v1/near/contracts", self._add_contract),
            web.delete("/v1/near/contracts/{account_id}", self._remove_contract),
        ]

    async def _cards(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        return _json(await self._operator.list_cards())

    async def _approve(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        asked = await self._asked(_Approval, http)
        running = self._running.start(
            lambda progress: self._operator.approve(asked.request_id, progress), by=KEY_ID, decision=True
        )
        return _json(self._answer(await running.reply()))

    async def _drop(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        asked = await self._asked(_Approval, http)
        running = self._running.start(
            lambda progress: self._operator.drop(asked.request_id, progress), by=KEY_ID, decision=True
        )
        return _json(self._answer(await running.reply()))

    async def _cancel_tx(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        asked = await self._asked(_Cancel, http)
        running = self._running.start(
            lambda progress: self._operator.cancel_tx(asked.what, progress), by=KEY_ID, decision=True
        )
        return _json(self._answer(await running.reply()))

    async def _acknowledge_key(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        asked = await self._asked(_Acknowledge, http)
        try:
            return _json(await self._operator.acknowledge_key(asked.account_id, asked.public_key))
        except RpcError as error:
            raise DaemonError(error.code, error.message) from error

    async def _rotate_key(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        asked = await self._asked(_Rotate, http)
        running = self._running.start(
            lambda progress: self._operator.rotate_key(asked.account_id, asked.public_key, progress),
            by=KEY_ID,
            decision=True,
        )
        return _json(self._answer(await running.reply()))

    async def _list_keys(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        return _json(await self._operator.list_keys())

    async def _create_key(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        asked = await self._asked(_NewKey, http)
        return _json(await self._operator.create_key(asked.account_id, asked.may_confirm))

    async def _revoke_key(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        return _json(await self._operator.revoke_key(http.match_info["key_id"]))

    async def _names(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        return _json(await self._operator.names())

    async def _list_contracts(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        return _json(await self._operator.contracts.listed())

    async def _add_contract(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        asked = await self._asked(_Contract, http)
        return _json(await self._operator.contracts.add(asked.account_id))

    async def _remove_contract(self, http: web.Request) -> web.StreamResponse:
        self._check(http)
        return _json(await self._operator.contracts.remove(http.match_info["account_id"]))

    async def _asked(self, kind: type[_BodyT], http: web.Request) -> _BodyT:
        async with self._bodies.read(http, KEY_ID) as body:
            return _parse(kind, body)

    def _check(self, http: web.Request) -> None:
        given = http.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, f"Bearer {self._key}".encode()):
            raise no_key(given=bool(given))


def shown_card(card: PendingCard) -> JsonObject:
    """A card as lists show it, without its code."""
    return {
        "request_id": card.request_id,
        "account_id": card.signer_id,
        "key_id": card.identity_key_id,
        "expires_at": datetime.fromtimestamp(card.expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "text": card.text,
        "card": None if card.facts is None else card.facts.model_dump(mode="json"),
        "chain_id": card.chain_id,
        "calls_hash": card.calls_hash,
        "calls": _CALLS.dump_python(card.calls, mode="json"),
    }


def _parse(kind: type[_BodyT], body: bytes) -> _BodyT:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ".".join(str(step) for step in first["loc"]) or None
    raise RequestError("invalid_value", f"{param or 'the body'}: {first['msg']}", param=param)


def _json(body: JsonObject) -> web.Response:
    return web.Response(body=json.dumps(body).encode("ascii"), content_type="application/json")
