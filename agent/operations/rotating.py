"""keys rotate: an account's key is replaced, and at no moment is it without one that works.

    begun -> added    the old key adds the new one (full access)
    added -> proven   the new key signs a transfer of 0 to the account itself, and that is final
    proven -> drained no transaction signed by the old key is without its end
    drained -> done   the new key deletes the old one; the signer reads its file no more

Where it stands is in `rotations/ACCOUNT.json` before each step, and each transaction is an intent in the ledger: killed
anywhere, the same command goes on from there and sends nothing twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, assert_never

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.answers import status_of, step_text
from agent.executor import outcome_of
from agent.frontends.request_id import new_request_id
from agent.operations.operator_calls import operator_call
from agent.records import Identity, Refusal, Reply, Route, UserRequest
from agent.story import Progress, Story
from contracts.calls import Action, AddKey, ChangeCall, DeleteKey, FullAccess, Grant, Transfer
from contracts.chain.ledger import OPEN, Intent, Ledger
from contracts.chain.outcome import Effect, Finalized, Outcome
from contracts.errors import SigningError
from contracts.knowledge.registry import Registry
from contracts.private_files import write_private
from contracts.types import AccountId, PublicKey, Yocto

Stage: TypeAlias = Literal["begun", "added", "proven", "drained", "done"]
_FOLDER: Final = "rotations"
_POLL_S: Final = 0.5

Recorded = Callable[[UserRequest, Callable[[Story], Awaitable[Reply]], Progress | None], Awaitable[Reply]]


class Rotation(BaseModel):
    """Where a rotation stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_id: AccountId
    old: PublicKey
    new: PublicKey | None = None
    """None until the signer has made it."""
    stage: Stage = "begun"
    intent_id: str | None = None
    """The stage's transaction, once there is one."""
    attempts: int = 0


class KeyKeeper(Protocol):
    """The signer as a rotation uses it. SigningError."""

    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]: ...

    async def new_key_beside(self, account_id: AccountId) -> PublicKey: ...

    async def leave(self, account_id: AccountId, public_key: PublicKey) -> None: ...

    async def retire(self, account_id: AccountId, public_key: PublicKey) -> Sequence[str]: ...


class Sending(Protocol):
    """The chain client as a rotation uses it."""

    async def execute(
        self,
        intent: Intent,
        grant: Grant,
        expected: tuple[Effect, ...] = (),
        *,
        keys: Collection[PublicKey] | None = None,
    ) -> Outcome: ...

    async def settle(self, intent: Intent) -> Outcome: ...


class Rotator:
    """Rotates keys for the operator. `drain_s` is how long one run waits for transactions of the old key."""

    def __init__(
        self,
        recorded: Recorded,
        ledger: Ledger,
        chain: Sending,
        signer: KeyKeeper,
        registry: Registry,
        *,
        data_dir: Path,
        chain_id: str,
        clock: Callable[[], float],
        grant_ttl_s: float,
        drain_s: float = 60.0,
        kill_point: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._recorded = recorded
        self._ledger = ledger
        self._chain = chain
        self._signer = signer
        self._registry = registry
        self._folder = data_dir / _FOLDER
        self._chain_id = chain_id
        self._clock = clock
        self._grant_ttl_s = grant_ttl_s
        self._drain_s = drain_s
        self._kill_point = kill_point
        self._alone = asyncio.Lock()

    async def rotate(
        self, identity: Identity, account_id: AccountId, old: PublicKey | None, progress: Progress | None = None
    ) -> Reply:
        """Replace `old`, or the account's only key, by a new one; goes on with a rotation that was begun. One record."""
        request = UserRequest.of_command(
            new_request_id(), f"keys rotate {account_id}", identity, f"rotate:{account_id}", self._clock()
        )

        async def work(story: Story) -> Reply:
            story.route = Route(target="none", model=None, reason="the operator's keys rotate")
            async with self._alone:
                return await self._work(story, account_id, old)

        return await self._recorded(request, work, progress)

    async def _work(self, story: Story, account_id: AccountId, old: PublicKey | None) -> Reply:
        story.no_deadline()
        try:
            rotation = self._load(account_id) or await self._begin(account_id, old)
        except SigningError as error:
            return story.say(Refusal(text=f"{error.message}.", why=error.code))
        if old not in (None, rotation.old):
            text = f"The key {rotation.old} of {account_id} is being rotated already; run keys rotate {account_id} to go on."
            return story.say(Refusal(text=text, why="rotation_begun"))
        while rotation.stage != "done":
            await story.tell(f"Key of {account_id}: {_DOING[rotation.stage]}")
            following = await self._advance(story, rotation)
            if isinstance(following, Reply):
                return following
            rotation = following
            self._kill_point(f"rotation_{rotation.stage}")
        await self._signer.retire(account_id, rotation.old)
        self._path(account_id).unlink(missing_ok=True)
        text = (
            f"{account_id} signs with {rotation.new} now. The old key {rotation.old} is deleted on chain, and its file is "
            "read no more."
        )
        return story.reply(status_of(story.outcomes) if story.outcomes else "executed", text)

    async def _begin(self, account_id: AccountId, old: PublicKey | None) -> Rotation:
        keys = await self._signer.public_keys(account_id)
        match [key for key in keys if old is None or key == old]:
            case [key]:
                return self._save(Rotation(account_id=account_id, old=key))
            case []:
                named = "no key" if old is None else f"no key {old}"
                raise SigningError(
                    "no_key", f"the signer holds {named} of {account_id}; near-agent keys list shows its keys"
                )
            case several:
                listed = ", ".join(several)
                raise SigningError(
                    "several_keys", f"{account_id} has several keys, name the one to replace with --key: {listed}"
                )

    async def _advance(self, story: Story, rotation: Rotation) -> Rotation | Reply:
        """One stage; a Reply where it cannot go on now."""
        account_id, new = rotation.account_id, rotation.new
        if new is None:
            made = await self._signer.new_key_beside(account_id)
            return self._save(rotation.model_copy(update={"new": made}))
        match rotation.stage:
            case "begun":
                return await self._send(story, rotation, AddKey(new, FullAccess()), rotation.old, "added")
            case "added":
                return await self._send(story, rotation, Transfer(Yocto(0)), new, "proven")
            case "proven":
                await self._signer.leave(account_id, rotation.old)
                left = await self._drained(rotation)
                if left:
                    return story.reply("unconfirmed", _not_drained(rotation, left))
                return self._save(rotation.model_copy(update={"stage": "drained"}))
            case "drained":
                return await self._send(story, rotation, DeleteKey(rotation.old), new, "done")
            case "done":
                return rotation
            case _:
                assert_never(rotation.stage)

    async def _send(
        self, story: Story, rotation: Rotation, action: Action, key: PublicKey, following: Stage
    ) -> Rotation | Reply:
        """The stage's transaction to its end: taken up where it was sent before, else sent now."""
        name, outcome = f"key_rotation_{following}", None
        if rotation.intent_id is not None:
            outcome = await self._earlier(rotation.intent_id)
        if outcome is None:
            rotation, outcome = await self._sent(story, rotation, action, key)
        story.add(name, outcome)
        if isinstance(outcome, Finalized):
            return self._save(rotation.model_copy(update={"stage": following, "intent_id": None}))
        text = step_text(f"key rotation of {rotation.account_id} ({_DOING[rotation.stage]})", outcome, self._registry)
        return story.reply(
            status_of((outcome,)), f"{text}\nRun near-agent keys rotate {rotation.account_id} again to go on from here."
        )

    async def _sent(self, story: Story, rotation: Rotation, action: Action, key: PublicKey) -> tuple[Rotation, Outcome]:
        request_id = story.request.request_id
        # Its name is on disk before it is in the ledger: what was sent under it is found again.
        rotation = self._save(
            rotation.model_copy(
                update={"intent_id": f"{request_id}:{rotation.attempts}", "attempts": rotation.attempts + 1}
            )
        )
        call = ChangeCall(rotation.account_id, (action,))
        intent, grant = operator_call(
            rotation.intent_id or "",
            request_id,
            len(story.calls),
            call,
            chain_id=self._chain_id,
            signer_id=rotation.account_id,
            key_id=story.request.identity.key_id,
            ttl_s=self._grant_ttl_s,
            clock=self._clock,
        )
        story.calls, story.calls_hash = (*story.calls, call), intent.calls_hash
        await self._ledger.begin(grant, [intent], intent.created_at)
        return rotation, await self._chain.execute(intent, grant, keys=(key,))

    async def _earlier(self, intent_id: str) -> Outcome | None:
        """What became of an earlier attempt; None where it never went out and cannot any more."""
        intent = await self._ledger.get(intent_id)
        if intent is None or intent.signed is None or intent.state == "abandoned":
            return None
        outcome = await self._chain.settle(intent) if intent.state in OPEN else outcome_of(intent)
        stored = await self._ledger.get(intent_id)
        dead = stored is not None and stored.state in {"failed", "expired", "fenced", "abandoned"}
        return None if dead else outcome

    async def _drained(self, rotation: Rotation) -> int:
        """How many transactions of the old key have no end after `drain_s`."""
        deadline = asyncio.get_running_loop().time() + self._drain_s
        while True:
            left = [
                intent
                for intent in await self._ledger.in_states(OPEN)
                if intent.signer_id == rotation.account_id
                and intent.signed
                and intent.signed.public_key == rotation.old
            ]
            if not left or asyncio.get_running_loop().time() >= deadline:
                return len(left)
            await asyncio.sleep(_POLL_S)

    def _path(self, account_id: AccountId) -> Path:
        return self._folder / f"{account_id}.json"

    def _load(self, account_id: AccountId) -> Rotation | None:
        path = self._path(account_id)
        try:
            return Rotation.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise SigningError("bad_rotation", f"{path} cannot be read: {error}; look at it before going on") from error

    def _save(self, rotation: Rotation) -> Rotation:
        write_private(self._path(rotation.account_id), rotation.model_dump_json())
        return rotation


_DOING: Final[dict[Stage, str]] = {
    "begun": "adding the new key",
    "added": "proving that the new key signs",
    "proven": "waiting for transactions of the old key",
    "drained": "deleting the old key",
    "done": "done",
}


def _not_drained(rotation: Rotation, left: int) -> str:
    return (
        f"{left} transaction(s) signed by the old key {rotation.old} have no end yet, so it is not deleted. The new key "
        f"{rotation.new} works. Run near-agent keys rotate {rotation.account_id} again later; near-agent cancel-tx ends a "
        "transaction of unknown end."
    )
