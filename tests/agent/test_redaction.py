"""Redaction: no secret in any shape gets through, and nothing else is lost."""

import base64
import json
import re
from pathlib import Path

import base58
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mnemonic import Mnemonic
from nacl.signing import SigningKey
from pydantic import JsonValue

from agent.redaction.texts import (
    WINDOW,
    may_hold_secret,
    redact,
    redact_answer,
    redact_answer_json,
    redact_card,
    redact_json,
)

ED25519_SECRET = base58.b58encode(bytes(range(64))).decode()
SECP256K1_SECRET = base58.b58encode(bytes(range(1, 33))).decode()
ED25519_PUBLIC = "ed25519:" + base58.b58encode(bytes(range(1, 33))).decode()
SECP256K1_PUBLIC = "secp256k1:" + base58.b58encode(bytes(range(1, 65))).decode()
PHRASE = Mnemonic("english").to_mnemonic(bytes(range(16)))
LONG_PHRASE = Mnemonic("english").to_mnemonic(bytes(range(32)))
_PHRASES = {size: Mnemonic("english").to_mnemonic(bytes(range(size * 4 // 3))) for size in (15, 18, 21)}
SEED = bytes(range(100, 132))
PAIR = SEED + bytes(SigningKey(SEED).verify_key)
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

SECRETS = {
    "ed25519": (f"my key is ed25519:{ED25519_SECRET}, keep it", ED25519_SECRET),
    "ed25519 in capitals": (f"ED25519:{ED25519_SECRET}", ED25519_SECRET),
    "secp256k1": (f"secp256k1:{SECP256K1_SECRET}.", SECP256K1_SECRET),
    "bare": (f"import {ED25519_SECRET} please", ED25519_SECRET),
    "bare in quotes": (f'{{"x":"{ED25519_SECRET}"}}', ED25519_SECRET),
    "bearer": ("Authorization: Bearer abc.DEF-123_~", "abc.DEF-123_~"),
    "our api key": ("use na_" + "aB3-_" * 8 + "xyz now", "na_" + "aB3-_" * 8 + "xyz"),
    "openai key": ("sk-proj-abcdefghijklmnop1234", "sk-proj-abcdefghijklmnop1234"),
    "groq key": ("gsk_abcdefghijklmnop1234", "gsk_abcdefghijklmnop1234"),
    "hub key": ("hf_abcdefghijklmnop1234", "hf_abcdefghijklmnop1234"),
    "confirm": ("confirm 7Z4K9QXA", "7Z4K9QXA"),
    "cancel": ("please CANCEL\n`7z4k9qxa`", "7z4k9qxa"),
    "confirm in a card": ("Reply **confirm 7Z4K9QXA** to send", "7Z4K9QXA"),
    "phrase": (f"restore {PHRASE} and go", PHRASE),
    "long phrase": (LONG_PHRASE, LONG_PHRASE),
    "phrase over lines": ("\n".join(PHRASE.split()), PHRASE.split()[0]),
    "numbered phrase": (" ".join(f"{n}. {word}" for n, word in enumerate(PHRASE.split(), 1)), PHRASE.split()[5]),
    "phrase in capitals": (" ".join(word.capitalize() for word in PHRASE.split()), PHRASE.split()[3].capitalize()),
    "private key by name": ('{"private_key": "abcdef123"}', "abcdef123"),
    "api key by name": ("api-key=abcdef123&x=1", "abcdef123"),
    "key in an address": ("https://rpc.example/?apiKey=abcdef123&b=2", "abcdef123"),
    "password": ("Password: hunter2!", "hunter2!"),
    "url-encoded": (f"?k=ed25519%3A{ED25519_SECRET}", ED25519_SECRET),
    "64 bytes in hex": (f"import {PAIR.hex()} now", PAIR.hex()),
    "64 bytes in HEX": (f"0x{PAIR.hex().upper()}", PAIR.hex().upper()),
    "64 bytes in base64": (f"key {base64.b64encode(PAIR).decode()}.", base64.b64encode(PAIR).decode()),
    "64 bytes in base64, for addresses": (
        base64.urlsafe_b64encode(PAIR).decode().rstrip("="),
        base64.urlsafe_b64encode(PAIR).decode().rstrip("="),
    ),
    "64 numbers": (f"key: {[*PAIR]}", str([*PAIR])),
    "a seed named in hex": (f"my private key is {SEED.hex()}", SEED.hex()),
    "a seed named in base58": (f"the secret: {base58.b58encode(SEED).decode()}", base58.b58encode(SEED).decode()),
    "a seed named with its curve": (
        f"private key ed25519:{base58.b58encode(SEED).decode()}",
        base58.b58encode(SEED).decode(),
    ),
    "a seed named in base64": (f"seed = {base64.b64encode(SEED).decode()}", base64.b64encode(SEED).decode()),
    "a seed of numbers": (f"seed {[*SEED]}", str([*SEED])),
    "an ethereum key": (f"private key 0x{SEED.hex()}", SEED.hex()),
    "named in Spanish": (f"mi clave privada es {SEED.hex()}", SEED.hex()),
    "named in French": (f"ma clé privée : {SEED.hex()}", SEED.hex()),
    "named in German": (f"mein privater Schlüssel: {SEED.hex()}", SEED.hex()),
    "named in Russian": (f"мой закрытый ключ {SEED.hex()}", SEED.hex()),
    "named in Chinese": (f"我的私钥 {SEED.hex()}", SEED.hex()),
    "named in Japanese": (f"秘密鍵は {SEED.hex()}", SEED.hex()),
    "phrase with dashes": ("-".join(PHRASE.split()), PHRASE.split()[2]),
    "phrase in quotes": (json.dumps(PHRASE.split()), PHRASE.split()[4]),
    "phrase with a word mistyped at its end": (f"{PHRASE} abandom", PHRASE),
    "15 words": (_PHRASES[15], _PHRASES[15]),
    "18 words": (_PHRASES[18], _PHRASES[18]),
    "21 words": (_PHRASES[21], _PHRASES[21]),
    "github": ("ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9),
    "aws": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "google": ("AIza" + "Sy-9_" * 7, "AIza" + "Sy-9_" * 7),
    "slack": ("xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
    "telegram": ("12345678:AA" + "Bc3_" * 8 + "x", "12345678:AA" + "Bc3_" * 8 + "x"),
    "jwt": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdef123456", "abcdef123456"),
    "a password in an address": ("https://ann:hunter2@rpc.example/", "hunter2"),
    "basic authorization": ("Authorization: Basic YWxhZGRpbjpvcGVu", "YWxhZGRpbjpvcGVu"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_text_is_masked_and_its_length_kept(name: str) -> None:
    text, secret = SECRETS[name]
    clean, count = redact(text)
    assert secret not in clean
    assert count == 1
    assert len(clean) == len(text)
    assert redact(clean) == (clean, 0)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_masked_wherever_it_stands_in_a_value(name: str) -> None:
    text, secret = SECRETS[name]
    value: JsonValue = {"a": [{"b": text}, 1, None, True], text: "key"}
    clean, count = redact_json(value)
    assert isinstance(clean, dict)
    assert secret not in str(clean["a"])
    assert count >= 1


@pytest.mark.parametrize(
    "text",
    [
        ED25519_PUBLIC,
        SECP256K1_PUBLIC,
        f"add key {SECP256K1_PUBLIC} to bob.near",
        "send 12.5 USDC to bob.testnet and confirm when it is done",
        "please send twelve tokens over there once more because the last time nothing came of it",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "44PMwfFs4tfN4ujLy5xwpiGxQfa9abP5HFYtub8vgHXn",
        "near_balance, account_view, near_transfer, access_keys, ft_balance, storage_deposit, storage_balance, near_wrap",
        "eyJyZWNlaXZlcl9pZCI6ImJvYi5uZWFyIiwiYW1vdW50IjoiMTI1MDAwMDAiLCJtZW1vIjpudWxsfSAgICAgICAgICAgICAg",
        "bearer of news",
        SEED.hex(),
        f"0x{SEED.hex()[:40]}",
        base64.b64encode(SEED).decode(),
        bytes(64).hex(),
        base64.b64encode(bytes(range(64))).decode(),
        f"code hash {base58.b58encode(SEED).decode()} at block {base58.b58encode(bytes(32)).decode()}",
        f"calls_hash {SEED.hex()} grant:01990000-0000-7000-8000-000000000001",
        "the secret of good trades is patience; the public key is ed25519:" + base58.b58encode(SEED).decode(),
        f"random_seed: {SEED.hex()}",
        "abandon ability able about above absent absorb abstract absurd abuse access",
        str([*range(64)]),
        "the account abandon-ability.near has the words that it has and says them to all who want to hear about it",
        "a token costs 1 NEAR; the key: see docs",
        "",
        "確認 confirm この取引",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == (text, 0)


def test_in_documents_of_the_project_only_a_shown_code_looks_like_a_secret() -> None:
    code = re.compile(r"\b(confirm|cancel) [0-9A-HJKMNP-TV-Z]{8}\b")
    for name in ("README.md", "agent.toml", "CHANGELOG.md"):
        lines = (Path(__file__).parents[2] / name).read_text().splitlines()
        assert redact("\n".join(lines))[0].splitlines() == [code.sub(r"\1 ********", line) for line in lines]


@given(
    st.binary(min_size=16, max_size=32).filter(lambda raw: len(raw) % 4 == 0), st.sampled_from(["  ", ", ", "\n", " "])
)
def test_every_seed_phrase_is_seen(entropy: bytes, between: str) -> None:
    words = Mnemonic("english").to_mnemonic(entropy).split()
    assert redact(between.join(words))[1] == 1


@given(raw=st.binary(min_size=64, max_size=64), prefixed=st.booleans())
def test_every_ed25519_secret_is_seen(*, raw: bytes, prefixed: bool) -> None:
    secret = base58.b58encode(raw).decode()
    if prefixed or len(secret) >= 85:
        clean, count = redact(("ed25519:" if prefixed else "") + secret)
        assert (secret in clean, count) == (False, 1)


@given(st.binary(min_size=32, max_size=32))
def test_public_keys_and_hashes_are_never_taken_for_secrets(raw: bytes) -> None:
    text = base58.b58encode(raw).decode()
    assert redact("ed25519:" + text) == ("ed25519:" + text, 0)
    assert redact(text) == (text, 0)


@given(
    st.sampled_from(["confirm", "Cancel", "CONFIRM"]),
    st.text(CROCKFORD, min_size=8, max_size=8) | st.text(CROCKFORD.lower(), min_size=8, max_size=8),
)
def test_every_code_is_masked(verb: str, code: str) -> None:
    assert redact(f"  {verb} {code} ")[0] == f"  {verb} ******** "


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_redaction_keeps_the_form_and_is_done_once(value: JsonValue) -> None:
    clean, _ = redact_json(value)
    assert type(clean) is type(value)
    assert redact_json(clean) == (clean, 0)
    json.dumps(clean, ensure_ascii=False).encode()


PIECES = st.sampled_from(
    [
        "abandon ",
        "ability,",
        "1. ",
        "confirm ",
        "7Z4K9QXA",
        "ed25519:",
        ED25519_SECRET,
        "key=",
        "abcdef123",
        "\n",
        "ſ",
        "K",
    ]
)
SUSPECT = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.lists(PIECES, max_size=16).map("".join),
    lambda inner: (
        st.lists(inner, max_size=14)
        | st.dictionaries(st.sampled_from(["a", "kind", "args", "seed", "PaſſWord", "x\ud800"]), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(SUSPECT)
def test_the_one_look_that_saves_the_piecewise_one_misses_nothing(value: JsonValue) -> None:
    # A list of so many texts is always gone through piece by piece.
    piecewise, count = redact_json([{"a": value}, *[""] * 12])
    assert isinstance(piecewise, list)
    clean, found = redact_json(value)
    assert ({"a": clean}, found) == (piecewise[0], count)
    assert may_hold_secret(value) or (clean, found) == (value, 0)


def test_what_most_records_hold_needs_one_look_only() -> None:
    record: JsonValue = {
        "request_id": "0199", "text": "/near_balance bob.localnet", "turns": [{"role": "user", "content": "/help"}],
        "identity": {"key_id": "57ca5e8a8c5c1d11", "may_confirm": True}, "outcomes": [{"value": {"amount": "1" * 28}}],
    }  # fmt: skip
    assert not may_hold_secret(record)


@pytest.mark.parametrize(
    "key",
    [
        "private_key",
        "secret",
        "client_secret",
        "seed_phrase",
        "mnemonic",
        "password",
        "api_key",
        "X-Api-Key",
        "Authorization",
        "access_token",
        "confirm_code",
        "Cookie",
        "seed",
        "user_password",
        "secretKey",
        "SECRET_KEY",
    ],
)
def test_what_a_key_names_as_secret_is_masked_whole(key: str) -> None:
    assert redact_json({key: "short"}) == ({key: "*****"}, 1)
    assert redact_json({key: 12345}) == ({key: "********"}, 1)
    assert redact_json({key: ["ab", None]}) == ({key: ["**", None]}, 1)
    assert redact_json({key: None}) == ({key: None}, 0)


@pytest.mark.parametrize(
    "key", ["public_key", "token", "key_id", "api_key_env", "method_name", "random_seed", "code", "keys"]
)
def test_what_a_key_does_not_name_as_secret_stays(key: str) -> None:
    assert redact_json({key: "USDC"}) == ({key: "USDC"}, 0)


def test_a_phrase_cut_into_a_list_is_masked() -> None:
    words: list[JsonValue] = [*PHRASE.split()]
    clean, count = redact_json({"words": words})
    assert count == 1
    assert PHRASE.split()[0] not in str(clean)


def test_secrets_inside_a_calls_arguments_are_masked_and_the_call_stays_readable() -> None:
    args = {"memo": f"ed25519:{ED25519_SECRET}", "amount": "1"}
    encoded = base64.b64encode(json.dumps(args).encode()).decode()
    clean, count = redact_json({"kind": "function_call", "args": encoded, "method_name": "x"})
    assert count == 1
    assert isinstance(clean, dict)
    assert json.loads(base64.b64decode(str(clean["args"])))["amount"] == "1"
    assert ED25519_SECRET not in base64.b64decode(str(clean["args"])).decode()


@pytest.mark.parametrize("args", ["///w", "not base64", 5, None])
def test_arguments_that_are_no_text_are_left(args: JsonValue) -> None:
    assert redact_json({"kind": "function_call", "args": args}) == ({"kind": "function_call", "args": args}, 0)
    assert redact_json({"kind": "function_call"}) == ({"kind": "function_call"}, 0)


def test_lone_surrogates_become_storable() -> None:
    clean, _ = redact_json({"a\ud800": "short \udfff", "b": "a longer text with one \ud83d in it"})
    assert clean == {"a?": "short ?", "b": "a longer text with one ? in it"}


def test_what_is_answered_keeps_the_requesters_code_and_signatures() -> None:
    signature = "ed25519:" + base58.b58encode(bytes(range(64))).decode()
    pair = base58.b58encode(PAIR).decode()
    text = f"To approve, write: confirm 7Z4K9QXA; signed {signature}; key ed25519:{pair} and {PHRASE}"
    told = redact_answer(text)
    assert "confirm 7Z4K9QXA" in told
    assert signature in told
    assert pair not in told
    assert PHRASE not in told
    value: JsonValue = {"secret": "a field of a contract", "list": [text, 1, None]}
    assert redact_answer_json(value) == {"secret": "a field of a contract", "list": [told, 1, None]}


def test_no_name_of_a_token_blanks_the_receiver_on_a_card() -> None:
    receiver = SEED.hex()
    for name in ("Secret", "private key", "api_key=", "password:", "Bearer", "confirm", "seed:"):
        text = f"  send 5 {name} to {receiver}\n  send 5 {name} {receiver} NEAR, {name} bob.localnet"
        assert redact_answer(text) == text
        assert redact_card(text) == text
    assert redact_card("confirm 7Z4K9QXA") == "confirm ********"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_json_inside_json_is_masked(name: str) -> None:
    text, secret = SECRETS[name]
    inner = json.dumps({"text": f"a\n{text}\t"}, ensure_ascii=False)
    for escaped in (inner, json.dumps(inner, ensure_ascii=False)):
        clean, count = redact(escaped)
        assert count >= 1
        assert secret not in clean
        assert len(clean) == len(escaped)


@settings(max_examples=15)
@given(before=st.integers(WINDOW - 300, WINDOW + 300))
def test_a_secret_between_two_windows_is_seen_once(before: int) -> None:
    for secret in (f"ed25519:{ED25519_SECRET}", PHRASE, "confirm 7Z4K9QXA", PAIR.hex()):
        text = "." * before + " " + secret + " " + "." * 5000
        clean, count = redact(text)
        assert (count, len(clean)) == (1, len(text))
        assert secret[-6:] not in clean


@pytest.mark.parametrize("unit", ["a", "abc ", "confirm ", "key:", "ed25519:", "1", "na_", "Bearer ", "word, "])
def test_megabytes_are_done_in_one_pass(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert len(redact(text)[0]) == len(text)
