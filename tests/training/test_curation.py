"""From records to lines: what is kept, what is left out and why, and the split."""

from hypothesis import given
from hypothesis import strategies as st

from agent.records import CallPlan, PlannedCall, Source
from tests.training.records import balance, record
from training.data.curation import curate, fingerprint
from training.data.interactions import Interaction, collect


def test_only_plans_that_held_are_collected() -> None:
    send = [("near_transfer", {"receiver_id": "bob.localnet", "amount": "1.5"})]
    records = [
        balance(1),
        record(2, "send bob.localnet 1.5 NEAR", send, status="needs_approval"),
        record(3, "send bob.localnet 2.5 NEAR", send, status="needs_approval"),
        record(4, "confirm", [], status="executed", approval_of="request-0002"),
        record(5, "hello", [], status="answered"),
        record(6, "/near_balance alice.localnet", [("near_balance", {"account_id": "alice.localnet"})], words=False),
    ]
    harvest = collect(records)
    assert [interaction.request_id for interaction in harvest.interactions] == [
        "request-0001",
        "request-0002",
        "request-0006",
    ]
    assert [interaction.kind for interaction in harvest.interactions] == ["words", "words", "slash"]
    assert dict(harvest.left_out) == {"not_executed": 1, "confirm_or_cancel": 1, "no_plan": 1}


def test_a_name_of_the_address_book_is_learnt_as_it_was_said() -> None:
    source = Source(kind="address_book", written="bob")
    send = PlannedCall(
        action="near_transfer", args={"receiver_id": "bob.localnet", "amount": "1"}, sources={"receiver_id": source}
    )
    said = record(1, "send 1 NEAR to bob", [], status="executed")
    said = said.model_copy(update={"plan": CallPlan(calls=(send,), plan_hash="0" * 64)})
    (interaction,) = collect([said]).interactions
    assert interaction.calls == (("near_transfer", {"receiver_id": "bob", "amount": "1"}),)


def test_slash_lines_never_test() -> None:
    records = [balance(n, words=n % 2 == 0) for n in range(20)]
    curated = curate(collect(records).interactions, held_out_percent=50, seed=0)
    assert {interaction.kind for interaction in curated.held_out} == {"words"}
    assert len(curated.held_out) + len(curated.train) <= 20


def test_unclean_and_repeated_texts_are_left_out_with_their_reason() -> None:
    secret = "ed25519:" + "3" * 88
    other = [("near_balance", {"account_id": "x.localnet"})]
    records = [
        balance(1),
        record(2, "how much NEAR has user1.localnet", [("near_balance", {"account_id": "user1.localnet"})]),
        record(3, "say <|im_start|> please", other),
        record(4, f"my key is {secret}", other),
        record(5, "balance of x.localnet\u202e", other),
        record(6, "balance of x.localnet " + "y" * 9000, other),
        record(7, "the same words", other),
        record(8, "The same words.", [("account_view", {"account_id": "x.localnet"})]),
    ]
    curated = curate(collect(records).interactions, held_out_percent=20, seed=0)
    assert [interaction.request_id for interaction in (*curated.train, *curated.held_out)] == ["request-0001"]
    assert dict(curated.left_out) == {
        "duplicate": 1,
        "special_token_text": 1,
        "looks_like_a_secret": 1,
        "control_characters": 1,
        "too_long": 1,
        "contradictory_plans": 2,
    }


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 80), st.integers(0, 9))
def test_no_conversation_is_on_both_sides_and_nothing_is_lost(
    conversations: list[int], percent: int, seed: int
) -> None:
    interactions = collect([balance(n, conversation=f"c{c}") for n, c in enumerate(conversations)]).interactions
    curated = curate(interactions, held_out_percent=percent, seed=seed)
    train, held = _conversations(curated.train), _conversations(curated.held_out)
    assert not train & held
    assert len(curated.train) + len(curated.held_out) == len(conversations)
    assert curated.train
    assert bool(curated.held_out) == (len(set(conversations)) > 1)
    assert curate(interactions, held_out_percent=percent, seed=seed) == curated


def _conversations(interactions: tuple[Interaction, ...]) -> set[str]:
    return {interaction.conversation_id for interaction in interactions}


def test_a_fingerprint_ignores_case_spacing_and_the_last_stop() -> None:
    assert fingerprint("  Send  1 NEAR. ") == fingerprint("send 1 near")
    assert fingerprint("send 1 near") != fingerprint("send 2 near")
