"""Masking and whose words a conversation holds."""

from hypothesis import given
from hypothesis import strategies as st

from agent.planning.conversations import (
    mask_cards,
    mask_request,
    mask_text,
    own_words,
    turn_hash,
)
from agent.records import Identity, Turn, UserRequest

MASK = "*" * 8
CODES = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=8, max_size=8)


def request(*turns: Turn, conversation: str = "c", key_id: str = "k") -> UserRequest:
    return UserRequest(
        request_id="r",
        text=turns[-1].content,
        turns=turns,
        identity=Identity(key_id=key_id, account_id="alice.near", may_confirm=True),
        front_end="chat_completions",
        conversation_id=conversation,
        received_at=1.0,
    )


def user(text: str) -> Turn:
    return Turn(role="user", content=text)


def assistant(text: str) -> Turn:
    return Turn(role="assistant", content=text)


@given(CODES, st.sampled_from(["confirm ", "Cancel  ", "CONFIRM `", "confirm: ", "cancel\n"]))
def test_a_code_after_its_word_is_blanked_in_place(code: str, word: str) -> None:
    text = f"Well, {word}{code} it is"
    masked = mask_text(text)
    assert code not in masked
    assert len(masked) == len(text)
    assert MASK in masked


@given(st.text())
def test_masking_keeps_the_length_and_is_done_once(text: str) -> None:
    masked = mask_text(text)
    assert len(masked) == len(text)
    assert mask_text(masked) == masked


def test_a_code_alone_is_blanked_and_amounts_are_not() -> None:
    assert mask_text(" 7K2M9QXA. ") == f" {MASK}. "
    assert mask_text("send 12345678 to bob.near") == "send 12345678 to bob.near"
    assert mask_text("12345678") == "12345678"


def test_cards_in_a_history_become_their_request_id() -> None:
    card = (
        "Approval needed for request 0199-a on localnet:\n  send 5 NEAR to bob.near\n  ... Nothing is sent before that."
    )
    assert mask_cards(f"Hello.\n{card}\nBye.") == "Hello.\n[approval card of request 0199-a]\nBye."
    cut = mask_cards(card[:60])
    assert "bob" not in cut


def test_a_request_is_masked_as_a_whole() -> None:
    masked = mask_request(request(assistant("write: confirm 7K2M9QXA"), user("confirm 7K2M9QXA")))
    assert "7K2M9QXA" not in masked.model_dump_json()
    assert masked.text == f"confirm {MASK}"


def test_own_words_are_the_users_newest_first() -> None:
    asked = request(
        user("a"), assistant("b"), user("### Task:\nMake a title of: c"), Turn(role="tool", content="d"), user("e")
    )
    assert own_words(asked) == ((4, "e"), (0, "a"))


def test_a_turn_is_named_by_the_users_words_and_nothing_else() -> None:
    once = turn_hash(request(user("a"), assistant("b"), user("c")))
    assert turn_hash(request(user("a"), assistant("another answer"), user("c"))) == once
    others = (
        request(user("a"), user("d")),
        request(user("a"), user("c"), conversation="x"),
        request(user("a"), user("c"), key_id="x"),
        request(user("c")),
        request(user("a"), user("c"), assistant("b"), user("c")),
    )
    assert once not in {turn_hash(other) for other in others}
