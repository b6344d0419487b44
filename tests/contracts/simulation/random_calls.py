"""Calls at random over contracts, half of them made to fail: the same seed gives the same calls."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic import JsonValue

from contracts.calls import (
    Action,
    AddKey,
    ChangeCall,
    CreateAccount,
    DeleteAccount,
    DeleteKey,
    FullAccess,
    FunctionCall,
    Transfer,
)
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL
from tests.contracts.simulation.world import ONE_NEAR, REGISTRATION, USDC, WRAP, call

USERS: Final = (ALICE, BOB, CAROL)
POOL, DAO, NFT = AccountId("pool.localnet"), AccountId("dao.localnet"), AccountId("nft.localnet")
EXCHANGE, COUNTER = AccountId("exchange.localnet"), AccountId("counter.localnet")
BOOK, REGISTRAR = AccountId("guestbook.localnet"), AccountId("localnet")
BOND: Final = 10**23

Signed: TypeAlias = tuple[AccountId, ChangeCall]
Family: TypeAlias = Callable[["Caller"], Signed]


@dataclass
class Caller:
    """Who draws the next call, and whether it is meant to fail."""

    rng: random.Random
    fails: bool = False
    number: int = 0

    def user(self) -> AccountId:
        return self.rng.choice(USERS)

    def other(self, than: AccountId) -> AccountId:
        return self.rng.choice([user for user in USERS if user != than])

    def pick(self, good: Sequence[Signed], bad: Sequence[Signed]) -> Signed:
        return self.rng.choice(bad if self.fails else good)

    def amount(self, most: int) -> int:
        return self.rng.randint(1, most)

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def draw(self, families: Sequence[Family]) -> Signed:
        self.fails = not self.fails
        return self.rng.choice(families)(self)


def to(receiver_id: AccountId, *actions: Action) -> ChangeCall:
    return ChangeCall(receiver_id, actions)


def key_of(name: str) -> PublicKey:
    return PublicKey.from_bytes("ed25519", CryptoHash.of(name.encode()).raw)


def near(caller: Caller) -> Signed:
    who = caller.user()
    some = Transfer(Yocto(caller.amount(ONE_NEAR)))
    return caller.pick(
        [
            (who, to(caller.other(who), some)),
            (who, to(who, some)),
            (who, to(AccountId(f"{caller.rng.getrandbits(256):064x}"), some)),
            (who, to(USDC, some)),
        ],
        [
            (who, to(AccountId("missing.localnet"), some)),
            (who, to(caller.other(who), Transfer(Yocto(10**30)))),
            (who, to(AccountId("ab" * 32), CreateAccount(), some)),
        ],
    )


def accounts(caller: Caller) -> Signed:
    who, name = caller.user(), caller.name()
    new = AccountId(f"{name}.{who}")
    key = key_of(name)
    made: JsonValue = {"new_account_id": f"{name}.localnet", "new_public_key": key}
    taken: JsonValue = {"new_account_id": "alice.localnet", "new_public_key": key}
    money = Transfer(Yocto(ONE_NEAR // 10))
    return caller.pick(
        [
            (who, to(new, CreateAccount(), money, AddKey(key, FullAccess()))),
            (who, to(who, AddKey(key, FullAccess()))),
            (who, to(REGISTRAR, call("create_account", made, ONE_NEAR // 10, 100))),
            # it succeeds, and a part of it fails: the answer is false and the deposit comes back
            (who, to(REGISTRAR, call("create_account", taken, ONE_NEAR // 10, 100))),
        ],
        [
            (who, to(AccountId(f"{name}.{caller.other(who)}"), CreateAccount(), money)),
            (who, to(AccountId(f"{name}.localnet"), CreateAccount(), money)),
            (who, to(who, DeleteKey(key))),
            (who, to(caller.other(who), DeleteAccount(who))),
        ],
    )


def token(caller: Caller) -> Signed:
    who = caller.rng.choice((ALICE, BOB))
    other = BOB if who == ALICE else ALICE
    amount = str(caller.amount(10**7))
    send: JsonValue = {"receiver_id": other, "amount": amount, "memo": "for lunch"}
    register = call("storage_deposit", {"account_id": CAROL, "registration_only": True}, ONE_NEAR // 100)
    return caller.pick(
        [
            (who, to(USDC, call("ft_transfer", send, 1))),
            (who, to(USDC, register, call("ft_transfer", {"receiver_id": CAROL, "amount": amount}, 1))),
            (who, to(USDC, call("ft_transfer_call", {"receiver_id": EXCHANGE, "amount": amount, "msg": ""}, 1, 150))),
            (who, to(USDC, call("ft_transfer_call", {"receiver_id": other, "amount": amount, "msg": "x"}, 1, 150))),
            (who, to(USDC, call("storage_deposit", {}, REGISTRATION))),
        ],
        [
            (who, to(USDC, call("ft_transfer", {"receiver_id": other, "amount": str(10**15)}, 1))),
            (who, to(USDC, call("ft_transfer", {"receiver_id": "dao2.localnet", "amount": amount}, 1))),
            (who, to(USDC, call("ft_transfer", send, 0))),
            (who, to(USDC, call("ft_transfer", {"receiver_id": who, "amount": amount}, 1))),
            (who, to(USDC, call("ft_transfer", {"receiver_id": other, "amount": "0"}, 1))),
            (who, to(USDC, call("ft_transfer", {"receiver": other}, 1))),
            (who, to(USDC, register, call("ft_transfer", {"receiver_id": CAROL, "amount": str(10**15)}, 1))),
            (who, to(USDC, FunctionCall("ft_transfer", b"{}", Gas(TGAS // 10), Yocto(1)))),
            (who, to(USDC, call("storage_unregister", {}, 1))),
            (who, to(USDC, call("no_such_method", {}))),
        ],
    )


def wrapped(caller: Caller) -> Signed:
    who = caller.user()
    amount = caller.amount(ONE_NEAR)
    deposit = (call("storage_deposit", {}, REGISTRATION), call("near_deposit", {}, 2 * amount))
    withdraw = call("near_withdraw", {"amount": str(amount)}, 1)
    return caller.pick(
        [
            (who, to(WRAP, *deposit)),
            (who, to(WRAP, *deposit, withdraw)),
            (who, to(WRAP, call("near_deposit", {}, amount))),
        ],
        [
            (who, to(WRAP, *deposit, call("near_withdraw", {"amount": str(10**30)}, 1))),
            (who, to(WRAP, call("near_withdraw", {"amount": "10"}, 0))),
            (who, to(WRAP, call("near_withdraw", {"amount": "ten"}, 1))),
        ],
    )


def small(caller: Caller) -> Signed:
    who = caller.user()
    return caller.pick(
        [
            (who, to(COUNTER, call("increment", {}))),
            (who, to(COUNTER, call("tip", {}, caller.amount(ONE_NEAR)))),
            (who, to(BOOK, call("add_message", {"text": f"hello {caller.name()}"}))),
            (who, to(COUNTER, call("fail_inside", {}, 0, 100))),
        ],
        [
            (who, to(COUNTER, call("fail", {}))),
            (who, to(COUNTER, call("increment", {}), call("fail", {}))),
            (who, to(COUNTER, call("reset", {}, 5), call("no_such_method", {}))),
            (who, to(BOOK, call("add_message", {}))),
            (who, to(AccountId("carol.localnet"), call("anything", {}))),
        ],
    )


def staking(caller: Caller, pool_id: AccountId = POOL) -> Signed:
    who = caller.user()
    amount = caller.amount(5 * ONE_NEAR)
    return caller.pick(
        [
            (who, to(pool_id, call("deposit_and_stake", {}, amount + ONE_NEAR, 200))),
            (who, to(pool_id, call("deposit", {}, amount, 100))),
            (who, to(pool_id, call("deposit_and_stake", {}, 3 * ONE_NEAR, 100), call("unstake_all", {}, 0, 100))),
            (who, to(pool_id, call("ping", {}, 0, 100))),
        ],
        [
            (who, to(pool_id, call("unstake", {"amount": str(10**30)}, 0, 100))),
            (who, to(pool_id, call("withdraw", {"amount": str(10**30)}, 0, 100))),
            (who, to(pool_id, call("stake", {"amount": "0"}, 0, 100))),
            (who, to(pool_id, call("unstake", {}, 0, 100))),
            (who, to(pool_id, call("deposit_and_stake", {}, amount + ONE_NEAR, 5))),
        ],
    )


def council(caller: Caller, dao_id: AccountId = DAO) -> Signed:
    who = caller.user()
    pay: JsonValue = {"Transfer": {"token_id": "", "receiver_id": BOB, "amount": "1000"}}
    proposal: JsonValue = {"proposal": {"description": caller.name(), "kind": pay}}
    vote: JsonValue = {"id": caller.rng.randint(0, 3), "action": "VoteApprove", "proposal": pay}
    late: JsonValue = {"id": 999, "action": "VoteApprove", "proposal": pay}
    other: JsonValue = {"id": 0, "action": "VoteApprove", "proposal": "Vote"}
    return caller.pick(
        [
            (who, to(dao_id, call("add_proposal", proposal, BOND, 100))),
            (who, to(dao_id, call("add_proposal", proposal, BOND, 50), call("add_proposal", proposal, BOND, 50))),
            (who, to(dao_id, call("act_proposal", vote, 0, 200))),
        ],
        [
            (who, to(dao_id, call("add_proposal", proposal, 1, 100))),
            (who, to(dao_id, call("act_proposal", late, 0, 200))),
            (who, to(dao_id, call("act_proposal", other, 5, 200))),
            (who, to(dao_id, call("add_proposal", {"proposal": {"description": "x", "kind": "Nonsense"}}, BOND, 100))),
        ],
    )


def collection(caller: Caller) -> Signed:
    name = caller.name()
    mint: JsonValue = {"token_id": name, "token_owner_id": ALICE, "token_metadata": {"title": f"Item {name}"}}
    minted = call("nft_mint", mint, ONE_NEAR // 50, 50)
    give = call("nft_transfer", {"receiver_id": BOB, "token_id": name}, 1)
    return caller.pick(
        [(ALICE, to(NFT, minted)), (ALICE, to(NFT, minted, give))],
        [
            (BOB, to(NFT, minted)),
            (BOB, to(NFT, call("nft_transfer", {"receiver_id": ALICE, "token_id": name}, 1))),
            (ALICE, to(NFT, minted, minted)),
            (ALICE, to(NFT, minted, call("nft_transfer", {"receiver_id": ALICE, "token_id": name}, 1))),
            (ALICE, to(NFT, call("nft_mint", mint, 0, 50))),
        ],
    )


def swaps(caller: Caller) -> Signed:
    """USDC for USDT inside ft_transfer_call: three contracts, and the least that must come out."""
    who = caller.rng.choice((ALICE, BOB))
    amount = caller.amount(10**7)

    def swap(least: int, pool_id: int) -> FunctionCall:
        path = (
            f'{{"actions":[{{"pool_id":{pool_id},"token_in":"{USDC}","token_out":"usdt.localnet",'
            f'"min_amount_out":"{least}"}}]}}'
        )
        return call("ft_transfer_call", {"receiver_id": EXCHANGE, "amount": str(amount), "msg": path}, 1, 250)

    return caller.rng.choice(
        [(who, to(USDC, swap(1, 1))), (who, to(USDC, swap(10**20, 1))), (who, to(USDC, swap(1, 99)))]
    )


EMBEDDED: Final[tuple[Family, ...]] = (
    near,
    accounts,
    token,
    wrapped,
    small,
    staking,
    council,
    collection,
    swaps,
)
