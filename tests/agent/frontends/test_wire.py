"""Bodies with broken Unicode are read, with U+FFFD for what is broken; everything else in them stays as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.frontends.wire import parse_chat
from agent.limits import Limits


def body(content: bytes) -> bytes:
    return b'{"model": "near-agent", "messages": [{"role": "user", "content": "' + content + b'"}]}'


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (rb"hi \ud83d", "hi \ufffd"),
        (rb"\ude00 hi", "\ufffd hi"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\uD83D\uDE00", "\U0001f600"),
        (rb"\\ud83d", r"\ud83d"),
        (rb"\\\ud83d", "\\\ufffd"),
        (rb"\\\\ud83d", r"\\ud83d"),
        (b"cut \xf0\x9f\x98", "cut \ufffd"),
        (b"\xed\xa0\x80 raw half", "\ufffd\ufffd\ufffd raw half"),
        ("whole 😀".encode(), "whole 😀"),
    ],
)
def test_half_a_character_is_a_replacement_character(content: bytes, text: str) -> None:
    assert parse_chat(body(content), Limits()).text == text


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), st.booleans())
def test_whole_texts_are_never_changed(text: str, ascii_only: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    written = json.dumps(text, ensure_ascii=ascii_only).encode()[1:-1]
    assert parse_chat(body(written), Limits()).text == text
