"""The policy as the daemon asks it: with what the database knows of earlier spending and of whom an account has dealt with."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from agent.records import Identity
from agent.store.budgets import BudgetStore
from agent.store.cards import PendingCard
from agent.story import Settings
from contracts.calls import ChangeCall, SetOff
from contracts.chain.budget import Reservation
from contracts.checks.judging import MAX_RECIPIENTS, read_call, recipients_of
from contracts.checks.methods import NFT_PREFIX
from contracts.checks.policy import Subject, judge, wanted_of, within
from contracts.checks.policy_file import Policy
from contracts.checks.verdict import Channel, Verdict
from contracts.knowledge.lookalikes import lookalikes
from contracts.knowledge.registry import NEAR_SYMBOL, Registry
from contracts.types import AccountId

_MOST_ALIKE: Final = 5
"""Accounts that a card names as looking like a stranger's."""


class PolicyJudge:
    """Judges for one daemon. StoreError where the database cannot be read."""

    def __init__(
        self, policy: Policy, settings: Settings, registry: Registry, budgets: BudgetStore, clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._settings = settings
        self._registry = registry
        self._budgets = budgets
        self._clock = clock

    @property
    def _named(self) -> tuple[str, ...]:
        return (*self._policy.address_book.by_account, *self._registry.account_ids)

    def limited(self, key_id: str) -> frozenset[AccountId]:
        """The fungible tokens that the policy limits for this identity."""
        tokens = self._policy.rules_of(key_id).tokens
        return frozenset(AccountId(one) for one in tokens if one != NEAR_SYMBOL and not one.startswith(NFT_PREFIX))

    async def known(self, signer_id: AccountId, calls: Sequence[ChangeCall]) -> frozenset[str]:
        """Of the accounts that the calls name, those that this signer has paid or called before."""
        named = {str(call.receiver_id) for call in calls}
        for call in calls:
            named.update(account_id for account_id, _ in recipients_of(read_call(call), signer_id))
        return await self._budgets.known(self._settings.chain_id, signer_id, sorted(named))

    async def judge(
        self,
        key_id: str,
        signer_id: AccountId,
        calls: tuple[ChangeCall, ...],
        *,
        gas_yocto: tuple[int, ...],
        known: frozenset[str],
        asks: tuple[str, ...] = (),
        sets_off: tuple[SetOff, ...] = (),
        outflows: Mapping[tuple[AccountId, str], int] = MappingProxyType({}),
    ) -> Verdict:
        """The verdict on calls that an identity asks for, by everything that is known at this moment."""
        subject = Subject(
            network=self._settings.network,
            identity=key_id,
            signer_id=signer_id,
            calls=calls,
            gas_yocto=gas_yocto,
            known=known,
            contracts=frozenset(token.contract_id for token in self._registry.tokens),
            asks=(*asks, *await self._alike(signer_id, (*calls, *calls_of(sets_off)), known)),
            sets_off=sets_off,
            outflows=outflows,
        )
        verdict = judge(self._policy, subject)
        chain_id, identity, at = self._settings.chain_id, _key(key_id), self._budgets.latest.at(self._clock())
        used = await self._budgets.used(chain_id, signer_id, identity, verdict.budgets, at)
        more_at: dict[str, float | None] = {}
        for budget in verdict.budgets:
            wanted = wanted_of(verdict.spends, budget)
            if used[budget.rule] + wanted > budget.units:
                more_at[budget.rule] = await self._budgets.more_at(chain_id, signer_id, identity, budget, wanted, at)
        return within(verdict, used, more_at)

    async def _alike(
        self, signer_id: AccountId, calls: tuple[ChangeCall, ...], known: frozenset[str]
    ) -> tuple[str, ...]:
        """What there is to say of strangers whose ids can be taken for those of accounts that are known."""
        named = {str(call.receiver_id) for call in calls}
        for call in calls:
            named.update(account_id for account_id, _ in recipients_of(read_call(call), signer_id) if account_id)
        strangers = sorted(named - known - set(self._named) - {str(signer_id)})[:MAX_RECIPIENTS]
        if not strangers:
            return ()
        dealt_with = await self._budgets.like(self._settings.chain_id, signer_id, strangers)
        return tuple(
            f"{name} {like.words}"
            for name in strangers
            for like in lookalikes(name, (*self._named, signer_id, *dealt_with[name]))[:_MOST_ALIKE]
        )

    def reservation(self, verdict: Verdict, key_id: str, *, free: bool) -> Reservation:
        """What a grant for this verdict takes out of the budgets."""
        budgets = tuple(budget for budget in verdict.budgets if free or not budget.free)
        return Reservation(_key(key_id), verdict.spends, budgets, self._budgets.latest.at(self._clock()), free)

    def may_approve(self, identity: Identity, card: PendingCard, channel: Channel) -> bool:
        """Whether this identity may approve the card: its own, one of the same account, or where the policy names it.

        With an API key, that key may confirm, or is named.
        """
        if identity.key_id in self._policy.rules_of(card.identity_key_id).approvers:
            return True
        mine = identity.key_id == card.identity_key_id or identity.account_id == card.signer_id
        return mine and (identity.may_confirm or channel != "key")

    def user_header(self, key_id: str) -> str | None:
        """The header in which this key's front end names the person."""
        return self._policy.rules_of(key_id).user_header


def calls_of(sets_off: Sequence[SetOff]) -> tuple[ChangeCall, ...]:
    """Everything that votes make others send."""
    return tuple(call for one in sets_off for call in one.calls)


def _key(identity: str) -> str:
    """The API key of an identity; the persons of a shared one draw on the same budget."""
    return identity.partition("/")[0]
