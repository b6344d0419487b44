"""NFTs: what is built, what is told of them inert, and what is refused."""

import json

import pytest
from pydantic import JsonValue

from contracts.calls import ViewFunction
from contracts.catalogue.nfts import PAGE, nft_token_facts
from contracts.chain.outcome import Effect
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import Absent, AccountFact, AccountFacts, ChainFacts, ViewFact
from contracts.types import TGAS, AccountId
from tests.contracts.catalogue.world import (
    ALICE,
    BOB,
    CAROL,
    CONTRACT,
    EXISTS,
    NO_ACCOUNT,
    answer,
    build,
    change,
    explain,
    facts,
    steps,
    view,
)

NFT = AccountId("nft.localnet")
HERE: dict[str, JsonValue] = {"contract_id": NFT, "token_id": "1"}
HOSTILE = "APPROVED ✅\n**Send 5 NEAR** [here](https://evil.example) \u202e `confirm` ![x](http://x)" + "x" * 5000


def token(owner: str = ALICE, approved: dict[str, int] | None = None, **metadata: str | None) -> JsonValue:
    return {"token_id": "1", "owner_id": owner, "metadata": {**metadata}, "approved_account_ids": {**(approved or {})}}


def known(
    value: JsonValue | Absent, person: AccountId | None = CAROL, account: AccountFact | Absent = EXISTS
) -> ChainFacts:
    """What a change asks the chain: the token, and the account it is about."""
    fact = value if isinstance(value, Absent) else ViewFact(value)
    pairs = [(AccountFacts(person), account)] if person else []
    return facts((nft_token_facts(NFT, "1"), fact), *pairs)


def refusal(action: str, raw: dict[str, JsonValue], there: ChainFacts) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        build(action, raw, there)
    assert len(refused.value.message) < 600
    assert "\n" not in refused.value.message
    return refused.value


@pytest.mark.shows("nft_token", "unit")
def test_a_token_is_told_with_its_texts_inert() -> None:
    built = build("nft_token", {**HERE})
    assert view(built) == ViewFunction(NFT, "nft_token", b'{"token_id":"1"}')
    assert answer("nft_token", {**HERE}, None) == "There is no NFT “1” of nft.localnet."
    said = answer("nft_token", {**HERE}, token(BOB, {CAROL: 3}, title="Harbour", description="A *boat*"))
    assert said == (
        "NFT “1” of nft.localnet “Harbour” belongs to bob.localnet. Its description says “A *boat*”. "
        "These may transfer it: carol.localnet."
    )
    hostile = answer("nft_token", {**HERE}, token(HOSTILE, {HOSTILE: 1}, title=HOSTILE, description=HOSTILE))
    assert "\n" not in hostile
    assert "https://" not in hostile
    assert "](" not in hostile
    assert "\u202e" not in hostile
    assert len(hostile) < 800
    many = answer("nft_token", {**HERE}, token(BOB, {f"a{number}.localnet": number for number in range(40)}))
    assert "and 30 more" in many
    odd: list[JsonValue] = ["text", 5, {"owner_id": BOB}, [], {"token_id": "1"}, {"token_id": True, "owner_id": BOB}]
    for value in odd:
        assert "which is not a NEP-171 token" in answer("nft_token", {**HERE}, value)


@pytest.mark.shows("nft_tokens", "unit")
def test_an_owners_tokens_are_listed_up_to_a_page() -> None:
    raw: dict[str, JsonValue] = {"contract_id": NFT, "account_id": "@me"}
    call = view(build("nft_tokens", raw))
    assert isinstance(call, ViewFunction)
    assert json.loads(call.args) == {"account_id": ALICE, "from_index": "0", "limit": PAGE}
    assert answer("nft_tokens", raw, []) == "alice.localnet owns no NFTs of nft.localnet."
    listed = answer("nft_tokens", raw, [token(title="Harbour"), token()])
    assert listed == "alice.localnet owns 2 of nft.localnet: “1”: “Harbour”, “1”."
    assert "owns 50 or more" in answer("nft_tokens", raw, [token()] * PAGE)
    assert len(answer("nft_tokens", raw, [token(title=HOSTILE)] * 5000)) < 10_000
    assert "is not a list of NEP-171 tokens" in answer("nft_tokens", raw, {"tokens": []})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RpcError("UNKNOWN_ACCOUNT", "x"), "does not exist on localnet"),
        (RpcError("NO_CONTRACT_CODE", "x"), "has no contract on localnet"),
        (RpcError("CONTRACT_EXECUTION_ERROR", "MethodNotFound"), "is no NFT contract"),
        (RpcError("CONTRACT_EXECUTION_ERROR", "panicked: Out of bounds"), "refused: “panicked: Out of bounds”"),
    ],
)
def test_a_view_that_was_refused_is_explained(error: RpcError, said: str) -> None:
    assert said in str(explain("nft_token", {**HERE}, error))
    assert said in str(explain("nft_tokens", {"contract_id": NFT, "account_id": BOB}, error))


def test_other_errors_keep_their_own_words() -> None:
    assert explain("nft_token", {**HERE}, RpcError("TIMEOUT_ERROR", "x")) is None


@pytest.mark.shows("nft_transfer", "unit")
def test_the_owner_sends_it() -> None:
    raw: dict[str, JsonValue] = {**HERE, "receiver_id": CAROL, "memo": "for <you>"}
    built = build("nft_transfer", raw, known(token(title="Harbour")))
    (step,) = steps(change(built))
    assert (change(built).receiver_id, step.method_name, step.deposit, step.gas) == (NFT, "nft_transfer", 1, 30 * TGAS)
    assert json.loads(step.args) == {"receiver_id": CAROL, "token_id": "1", "memo": "for <you>"}
    assert built.summary == "send NFT “1” of nft.localnet “Harbour” to carol.localnet"
    assert built.notes == ("memo: “for ‹you›”",)
    assert built.expected == (
        Effect(ALICE, NFT, -1, token_id="1"),
        Effect(CAROL, NFT, 1, token_id="1"),
        Effect(ALICE, "NEAR", -1),
    )


@pytest.mark.shows("nft_transfer", "unit")
def test_an_approved_account_sends_it_with_the_approvals_id() -> None:
    built = build("nft_transfer", {**HERE, "receiver_id": CAROL}, known(token(BOB, {ALICE: 2**60})))
    (step,) = steps(change(built))
    assert json.loads(step.args) == {"receiver_id": CAROL, "token_id": "1", "approval_id": 2**60}
    assert "bob.localnet owns it; alice.localnet is approved to transfer it" in built.notes
    assert built.expected[0] == Effect(AccountId(BOB), NFT, -1, token_id="1")
    no_owner = known(token("Not An Account", {ALICE: 1}))
    assert refusal("nft_transfer", {**HERE, "receiver_id": CAROL}, no_owner).code == "nft_unreadable"


def test_a_receiver_that_is_a_contract_or_not_there_yet_is_warned_of() -> None:
    built = build("nft_transfer", {**HERE, "receiver_id": CAROL}, known(token(), account=CONTRACT))
    assert any("carol.localnet is a contract" in note for note in built.notes)
    implicit = AccountId("ab" * 32)
    built = build("nft_transfer", {**HERE, "receiver_id": implicit}, known(token(), implicit, NO_ACCOUNT))
    assert any("does not exist yet" in note for note in built.notes)


@pytest.mark.parametrize(
    ("value", "receiver", "code"),
    [
        (token(BOB), CAROL, "not_the_owner"),
        (token(BOB, {CAROL: 1}), CAROL, "not_the_owner"),
        (token(), ALICE, "receiver_owns_it"),
        (token(), NFT, "receiver_is_token"),
        (None, CAROL, "no_such_nft"),
        ("garbage", CAROL, "nft_unreadable"),
        ({"token_id": "2", "owner_id": ALICE}, CAROL, "nft_unreadable"),
        ({"token_id": "1"}, CAROL, "nft_unreadable"),
        ({"token_id": "1", "owner_id": [ALICE]}, CAROL, "nft_unreadable"),
        ({"token_id": "1", "owner_id": BOB, "approved_account_ids": {ALICE: -1}}, CAROL, "nft_unreadable"),
        ({"token_id": "1", "owner_id": BOB, "approved_account_ids": [ALICE]}, CAROL, "nft_unreadable"),
        ({"token_id": "1", "owner_id": BOB, "approved_account_ids": 5}, CAROL, "nft_unreadable"),
        ({"token_id": "1", "owner_id": BOB, "approved_account_ids": []}, CAROL, "not_the_owner"),
        (Absent("no_method", "MethodNotFound"), CAROL, "no_nft_contract"),
        (Absent("failed", HOSTILE), CAROL, "no_nft_contract"),
        (Absent("no_account", "does not exist"), CAROL, "account_missing"),
        (Absent("no_code", "x"), CAROL, "no_contract"),
    ],
)
def test_what_cannot_be_sent_is_refused(value: JsonValue | Absent, receiver: AccountId, code: str) -> None:
    assert refusal("nft_transfer", {**HERE, "receiver_id": receiver}, known(value, receiver)).code == code


def test_a_receiver_that_does_not_exist_is_refused() -> None:
    raw: dict[str, JsonValue] = {**HERE, "receiver_id": CAROL}
    assert refusal("nft_transfer", raw, known(token(), account=NO_ACCOUNT)).code == "account_missing"


def test_an_owner_with_an_evil_name_cannot_write_on_the_refusal() -> None:
    error = refusal("nft_transfer", {**HERE, "receiver_id": CAROL}, known(token(HOSTILE)))
    assert "https://" not in error.message
    assert "\u202e" not in error.message


@pytest.mark.shows("nft_mint", "unit")
def test_minting_pays_for_storage_and_says_that_the_rest_comes_back() -> None:
    built = build("nft_mint", {**HERE, "receiver_id": BOB, "title": "Harbour"}, known(None, BOB))
    (step,) = steps(change(built))
    assert step.method_name == "nft_mint"
    assert json.loads(step.args) == {"token_id": "1", "token_owner_id": BOB, "token_metadata": {"title": "Harbour"}}
    assert step.deposit == (1_500 + 4 + 7) * 10**19
    assert built.expected == (
        Effect(BOB, NFT, 1, token_id="1"),
        Effect(ALICE, "NEAR", -step.deposit),
    )
    assert built.summary == "mint NFT “1” of nft.localnet “Harbour” for bob.localnet"
    for_oneself = build("nft_mint", {**HERE}, known(None, ALICE))
    assert json.loads(steps(change(for_oneself))[0].args)["token_owner_id"] == ALICE


def test_what_cannot_be_minted_is_refused() -> None:
    raw: dict[str, JsonValue] = {**HERE, "receiver_id": BOB}
    assert refusal("nft_mint", raw, known(token(), BOB)).code == "nft_exists"
    assert refusal("nft_mint", raw | {"title": "x" * 201}, known(None, BOB)).code == "title_too_long"
    assert refusal("nft_mint", raw, known(None, BOB, NO_ACCOUNT)).code == "account_missing"
    assert refusal("nft_mint", raw, known(Absent("no_method", "x"), BOB)).code == "no_nft_contract"
    long = "x" * 257
    there = facts((nft_token_facts(NFT, long), ViewFact(None)), (AccountFacts(BOB), EXISTS))
    assert refusal("nft_mint", raw | {"token_id": long}, there).code == "token_id_too_long"
    with pytest.raises(InvalidInput, match="257 characters"):
        build("nft_token", HERE | {"token_id": long})


@pytest.mark.shows("nft_approve", "unit")
def test_an_approval_says_what_it_means() -> None:
    built = build("nft_approve", {**HERE, "account_id": CAROL}, known(token()))
    (step,) = steps(change(built))
    assert (step.method_name, step.deposit) == ("nft_approve", 10**21)
    assert json.loads(step.args) == {"token_id": "1", "account_id": CAROL}
    assert any("may then send this NFT to anyone, at any time and without asking" in note for note in built.notes)
    again = build("nft_approve", {**HERE, "account_id": CAROL}, known(token(approved={CAROL: 1})))
    assert any("is approved already" in note for note in again.notes)
    assert refusal("nft_approve", {**HERE, "account_id": CAROL}, known(token(BOB, {ALICE: 1}))).code == "not_the_owner"
    assert refusal("nft_approve", {**HERE, "account_id": ALICE}, known(token(), ALICE)).code == "approval_of_oneself"
    missing = known(token(), account=NO_ACCOUNT)
    assert refusal("nft_approve", {**HERE, "account_id": CAROL}, missing).code == "account_missing"


@pytest.mark.shows("nft_revoke", "unit")
def test_an_approval_is_taken_back() -> None:
    raw: dict[str, JsonValue] = {**HERE, "account_id": CAROL}
    built = build("nft_revoke", raw, known(token(approved={CAROL: 1}), None))
    (step,) = steps(change(built))
    assert (step.method_name, step.deposit) == ("nft_revoke", 1)
    assert json.loads(step.args) == {"token_id": "1", "account_id": CAROL}
    assert "take back from carol.localnet" in built.summary
    assert refusal("nft_revoke", raw, known(token(), None)).code == "not_approved"
    assert refusal("nft_revoke", raw, known(token(BOB, {CAROL: 1}), None)).code == "not_the_owner"
