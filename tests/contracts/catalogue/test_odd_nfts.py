"""NFTs as contracts really answer them: odd fields are named, and neither hide a list nor decide about a transfer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from contracts.calls import ViewFunction
from contracts.catalogue.index import find
from contracts.catalogue.nft_reading import read_token
from contracts.catalogue.nfts import MAX_PAGE, PAGE, NftTokensArgs
from contracts.errors import InvalidInput
from tests.contracts.catalogue.test_nfts import HERE, HOSTILE, NFT, known, refusal, token
from tests.contracts.catalogue.world import ALICE, BOB, CAROL, REGISTRY, answer, build, change, steps, view

LIST: dict[str, JsonValue] = {"contract_id": NFT, "account_id": ALICE}
GOOD: dict[str, JsonValue] = {
    "token_id": "1",
    "owner_id": ALICE,
    "metadata": {"title": "Harbour"},
    "approved_account_ids": {BOB: 1},
}

ODD: list[tuple[dict[str, JsonValue], str]] = [
    ({"token_id": None, "id": "1"}, "id instead of token_id"),
    ({"token_id": 1}, "token_id is a number"),
    ({"token_id": None, "id": 1}, "id instead of token_id, id is a number"),
    ({"approved_account_ids": None, "approvals": {BOB: 1}}, "approvals instead of approved_account_ids"),
    ({"approved_account_ids": []}, "approved_account_ids is a list"),
    ({"approved_account_ids": [BOB]}, "approved_account_ids is a list"),
    ({"approved_account_ids": None, "approvals": []}, "approvals instead of approved_account_ids, approvals is a list"),
    ({"approved_account_ids": {BOB: "1"}}, "an approval's number is none"),
    ({"approved_account_ids": {BOB: -1}}, "an approval's number is none"),
    ({"approved_account_ids": {BOB: 2**64}}, "an approval's number is none"),
    ({"approved_account_ids": [[BOB, 1]]}, "approved_account_ids cannot be read"),
    ({"approved_account_ids": "none"}, "approved_account_ids cannot be read"),
    ({"metadata": {"title": 7}}, "title is JSON number"),
    ({"metadata": {"title": ["Harbour"]}}, "title is JSON array"),
    ({"metadata": {"title": "Harbour", "description": {"en": "x"}}}, "description is JSON object"),
    ({"metadata": '{"title": "Harbour"}'}, "metadata is JSON text"),
    ({"metadata": []}, "metadata is JSON array"),
]


@pytest.mark.parametrize(("fields", "said"), ODD)
def test_an_odd_field_is_named_and_hides_nothing(fields: dict[str, JsonValue], said: str) -> None:
    odd = {**GOOD, **fields}
    one = answer("nft_token", {**HERE}, odd)
    assert one.startswith("NFT “1” of nft.localnet")
    assert "belongs to alice.localnet." in one
    assert one.endswith(f"Note: the contract does not describe it as NEP-171, 177 and 178 say: {said}.")
    listed = answer("nft_tokens", LIST, [token(title="Quay"), odd, token()])
    assert listed.startswith("alice.localnet owns 3 of nft.localnet: “1”: “Quay”, “1”")
    assert listed.splitlines()[1:] == ["Not as NEP-171, 177 and 178 say:", f"- “1”: {said}"]


@pytest.mark.parametrize(("fields", "said"), ODD)
def test_decoration_never_decides_about_its_owners_transfer(fields: dict[str, JsonValue], said: str) -> None:
    built = build("nft_transfer", {**HERE, "receiver_id": CAROL}, known({**GOOD, **fields}))
    (step,) = steps(change(built))
    assert json.loads(step.args) == {"receiver_id": CAROL, "token_id": "1"}
    assert built.notes == (f"warning: the contract does not describe it as NEP-171, 177 and 178 say: {said}",)
    revoked = build("nft_revoke", {**HERE, "account_id": BOB}, known({**GOOD, "approvals": [BOB]}, None))
    assert steps(change(revoked))[0].method_name == "nft_revoke"


def test_a_title_that_is_a_number_is_shown() -> None:
    assert "“1”: “7”" in answer("nft_tokens", LIST, [{**GOOD, "metadata": {"title": 7}}])
    assert "“1”: “7.5”" in answer("nft_tokens", LIST, [{**GOOD, "metadata": {"title": 7.5}}])


def test_an_approval_that_cannot_be_read_lets_nobody_transfer_and_can_be_revoked() -> None:
    unread: list[JsonValue] = ["none", [[ALICE, 1]], [ALICE], {ALICE: None}, {ALICE: True}]
    for approvals in unread:
        for name in ("approvals", "approved_account_ids"):
            value: dict[str, JsonValue] = {"token_id": "1", "owner_id": BOB, name: approvals}
            refused = refusal("nft_transfer", {**HERE, "receiver_id": CAROL}, known(value))
            assert (refused.code, "which approval is yours" in refused.message) == ("nft_unreadable", True)
            own: dict[str, JsonValue] = {**value, "owner_id": ALICE}
            assert build("nft_revoke", {**HERE, "account_id": ALICE}, known(own, None)).notes
    in_digits: dict[str, JsonValue] = {"token_id": "1", "owner_id": BOB, "approvals": {ALICE: "7"}}
    (step,) = steps(change(build("nft_transfer", {**HERE, "receiver_id": CAROL}, known(in_digits))))
    assert json.loads(step.args)["approval_id"] == 7


def test_a_list_survives_what_is_no_token_and_says_what_it_was() -> None:
    values: list[JsonValue] = [token(), None, 5, HOSTILE, {"owner_id": ALICE}, [], {"token_id": 1.5}, token(BOB)]
    said = answer("nft_tokens", LIST, values)
    assert said.startswith("alice.localnet owns 8 of nft.localnet: “1”, one that cannot be read,")
    lines = said.splitlines()
    assert lines[1] == "Not as NEP-171, 177 and 178 say:"
    assert lines[2] == "- cannot be read, it has no id: null"
    assert lines[-1] == "- and 2 more"
    assert len(lines) == 8
    for sign in ("https://", "](", "\u202e", "`"):
        assert sign not in said
    assert "- “1”: its owner is bob.localnet" in answer("nft_tokens", LIST, [token(BOB)])
    hostile: list[JsonValue] = [{**GOOD, "metadata": {"title": HOSTILE, "description": []}}]
    many = answer("nft_tokens", LIST, hostile * 5000)
    assert len(many) < 12_000


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = ("token_id", "id", "owner_id", "metadata", "approved_account_ids", "approvals", "title")


@given(st.lists(st.dictionaries(st.sampled_from(_FIELDS), _JSON) | _JSON, max_size=5))
def test_any_list_is_answered_and_every_good_token_stands_in_it(values: list[Any]) -> None:
    said = answer("nft_tokens", LIST, [*values, {**GOOD, "token_id": "good one"}])
    assert "“good one”: “Harbour”" in said
    assert "is not a list" not in said
    for value in values:
        found = read_token(value)
        assert found is None or isinstance(value, dict)


def test_the_page_is_asked_for_and_told() -> None:
    def asked(**more: JsonValue) -> JsonValue:
        call = view(build("nft_tokens", {**LIST, **more}))
        assert isinstance(call, ViewFunction)
        return json.loads(call.args)

    assert asked() == {"account_id": ALICE, "from_index": "0", "limit": PAGE}
    assert asked(from_index="50", limit=2) == {"account_id": ALICE, "from_index": "50", "limit": 2}
    assert asked(from_index=2**64 - 1, limit=str(MAX_PAGE))
    for limit in ("0", str(MAX_PAGE + 1)):
        with pytest.raises(InvalidInput, match=f"limit is {limit}; write 1 to {MAX_PAGE}"):
            asked(limit=limit)
    page = answer("nft_tokens", {**LIST, "from_index": "50", "limit": "2"}, [token(), token()])
    assert page.splitlines() == [
        "alice.localnet owns 2 or more of nft.localnet from number 50 on, the first 2 being: “1”, “1”.",
        "The next ones: /nft_tokens nft.localnet alice.localnet from_index=52 limit=2",
    ]
    last = answer("nft_tokens", {**LIST, "from_index": "52", "limit": "2"}, [token()])
    assert last == "alice.localnet owns 1 of nft.localnet from number 52 on: “1”."
    none = answer("nft_tokens", {**LIST, "from_index": "54"}, [])
    assert none == "alice.localnet owns no NFTs of nft.localnet from number 54 on."
    more = answer("nft_tokens", {**LIST, "limit": "2"}, [token()] * 5000)
    assert more.startswith("alice.localnet owns 2 or more of nft.localnet, the first 2 being: “1”, “1”.")


@pytest.mark.parametrize("action", ["nft_tokens", "dao_proposals"])
@pytest.mark.parametrize("limit", [None, 1, 2, 7, 50, MAX_PAGE])
def test_smaller_pages_end_after_a_few(action: str, limit: int | None) -> None:
    entry = find(action)
    raw: dict[str, JsonValue] = {**LIST, "limit": limit} if action == "nft_tokens" else {"dao_id": NFT, "limit": limit}
    args = entry.parse(raw, ALICE, REGISTRY)
    sizes: list[int] = []
    while (fewer := entry.smaller(args)) is not None:
        args = fewer
        sizes.append(args.limit)
    assert sizes == sorted(set(sizes), reverse=True)
    assert len(sizes) <= 3
    assert sizes[-1:] == ([] if limit == 1 else [1])
    assert isinstance(args, NftTokensArgs) is (action == "nft_tokens")
