"""Slash commands: how they are split, named and refused."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.planning.slash import SlashCall, SlashHelp, command_list, is_slash, parse_slash
from contracts.catalogue.index import CATALOGUE
from contracts.errors import InvalidInput


def call(text: str) -> SlashCall:
    parsed = parse_slash(text, CATALOGUE)
    assert isinstance(parsed, SlashCall)
    return parsed


@pytest.mark.parametrize(
    ("text", "action", "args"),
    [
        ("/near_balance alice.near", "near_balance", {"account_id": "alice.near"}),
        ("  /NEAR_BALANCE\talice.near\n", "near_balance", {"account_id": "alice.near"}),
        (
            "/ft_transfer USDC bob.near 12.5",
            "ft_transfer",
            {"token": "USDC", "receiver_id": "bob.near", "amount": "12.5"},
        ),
        (
            "/ft_transfer USDC amount=12.5 receiver_id=bob.near memo='for the rent'",
            "ft_transfer",
            {"token": "USDC", "amount": "12.5", "receiver_id": "bob.near", "memo": "for the rent"},
        ),
        (
            """/contract_call c.near add '{"text": "a=b", "n": 1}' gas=30""",
            "contract_call",
            {"contract_id": "c.near", "method_name": "add", "args": '{"text": "a=b", "n": 1}', "gas": "30"},
        ),
        ("/ft_transfer memo=a=b", "ft_transfer", {"memo": "a=b"}),
        ("/near_balance", "near_balance", {}),
    ],
)
def test_words_become_arguments(text: str, action: str, args: dict[str, str]) -> None:
    assert call(text) == SlashCall(action, {**args})


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("/", "unknown_action", "/help"),
        ("/nothing_like_it", "unknown_action", "/help"),
        ("/ft_transfr USDC", "unknown_action", "ft_transfer"),
        ("/ft_transfer tokn=USDC", "unknown_argument", "token"),
        ("/near_transfer bob.near amount=1 2", "malformed_command", "key=value"),
        ("/near_transfer bob.near 1 2", "too_many_arguments", "receiver_id, amount"),
        ("/near_transfer bob.near receiver_id=carol.near", "repeated_argument", "twice"),
        ("/near_transfer amount=1 amount=2", "repeated_argument", "twice"),
        ("/near_transfer 'bob.near", "malformed_command", "quotes"),
        ("/help ft_transfr", "unknown_action", "ft_transfer"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, code: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_slash(text, CATALOGUE)
    assert caught.value.code == code
    assert said in caught.value.message


def test_help() -> None:
    assert parse_slash("/help", CATALOGUE) == SlashHelp(None)
    assert parse_slash("/help /ft_transfer", CATALOGUE) == SlashHelp("ft_transfer")
    assert command_list(CATALOGUE).count("\n") == len(CATALOGUE) + 1


def test_only_a_leading_slash_makes_a_command() -> None:
    assert is_slash(" /near_balance x")
    assert not is_slash("please /near_balance x")


@given(st.text(min_size=1).filter(str.strip))
def test_any_quoted_text_arrives_as_it_was(text: str) -> None:
    assert call(f"/ft_transfer memo={shlex.quote(text)}").args == {"memo": text}


@given(st.text("abc =/#;\t\n-", min_size=1))
def test_plain_words_are_split_as_shlex_does(text: str) -> None:
    def read(words: str) -> object:
        try:
            return parse_slash(words, CATALOGUE)
        except InvalidInput as error:
            return error.code, error.message

    quoted = " ".join(shlex.quote(word) for word in shlex.split(text))
    assert read(f"/ft_transfer {text}") == read(f"/ft_transfer {quoted}")


@given(st.text())
def test_no_text_does_more_than_parse_or_be_refused(text: str) -> None:
    try:
        parse_slash(f"/{text}", CATALOGUE)
    except InvalidInput as error:
        assert error.code  # noqa: PT017 - either way is right, anything else fails the test
