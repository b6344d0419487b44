"""Codes in texts: found in every decoration, and nothing else is taken for one."""

import re
import sys
import unicodedata
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.redaction.codes import blank, known_codes, said_codes, shaped_codes
from agent.redaction.texts import redact

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODES = st.text(alphabet=ALPHABET, min_size=8, max_size=8)
SEPARATORS = st.text(
    alphabet=" \t\n-_.,*`'\"|/:\u00a0\u00ad\u200b\u200d\u2060\u3000\ufeff\ufe0f\u0301\u2010\u2013・。代", max_size=3
)
ROOT = Path(__file__).resolve().parents[2]


def forms(sign: str) -> list[str]:
    """How one character of a code can be written."""
    found = [sign, sign.lower(), chr(ord(sign) + 0xFEE0), f"{sign}\u0308"]
    if sign.isdigit():
        digit = int(sign)
        found += [chr(0x660 + digit), chr(0x966 + digit), chr(0x1D7CE + digit), chr(0x2080 + digit)]
        found += {"0": ["O", "o", "\u041e"], "1": ["l", "I", "\u0406"]}.get(sign, [])
    else:
        letter = ord(sign) - ord("A")
        found += [chr(0x1D400 + letter), chr(0x24B6 + letter), chr(0x1F130 + letter), chr(0x1F170 + letter)]
        found += [chr(0x1F1E6 + letter), chr(0x1F150 + letter), chr(0xE0041 + letter)]
        found += {"A": ["\u0410", "\u0391"], "C": ["\u0421"], "X": ["\u0445"], "G": ["\u0262"]}.get(sign, [])
    return found


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str, list[int]]:
    """A code, a text with it in some decoration, and the indices of its characters."""
    code = draw(CODES)
    text, places = draw(st.text(max_size=20)), list[int]()
    for sign in code:
        form = draw(st.sampled_from(forms(sign)))
        places.append(len(text))
        text += form + draw(SEPARATORS)
    return code, text + draw(st.text(max_size=20)), places


@given(written())
def test_a_known_code_is_blanked_in_every_decoration(example: tuple[str, str, list[int]]) -> None:
    code, text, places = example
    found = known_codes(text, [code])
    assert set(places) <= set(found)
    masked = blank(text, found)
    assert len(masked) == len(text)
    assert known_codes(masked, [code]) == []
    assert all(sign == masked[place] or (masked[place] == "*" and place in found) for place, sign in enumerate(text))


def test_every_sign_that_unicode_folds_to_a_code_character_is_seen_as_one() -> None:
    missed = [
        hex(code)
        for code in range(128, sys.maxunicode + 1)
        if re.fullmatch(f"[{ALPHABET}]", folded := unicodedata.normalize("NFKD", chr(code)).upper())
        and known_codes(f"{chr(code)}ZZZZZZZ", [f"{folded}ZZZZZZZ"]) == []
    ]
    assert missed == []


def test_documents_and_sources_hold_no_code_by_chance() -> None:
    """However much is dropped between signs, 40 bits are not met by accident."""
    random = Random(7)
    codes = ["".join(random.choices(ALPHABET, k=8)) for _ in range(100)]
    for path in (*ROOT.glob("*.md"), *sorted((ROOT / "contracts").rglob("*.py"))):
        assert known_codes(path.read_text(), codes) == [], path


@pytest.mark.parametrize(
    "said",
    [
        "confirm G1A1AZYC",
        "Cancel: g1a1azyc.",
        "confirm G1A1-AZYC",
        "confirm g1a1_azyc!",
        "confirm G 1 A 1 A Z Y C",
        "confirm G.1.A.1.A.Z.Y.C",
        "confirm _G1A1AZYC_",
        "confirm (G1A1AZYC)",
        "confirm “G1A1AZYC”",
        "confirm\u3000Ｇ１Ａ１ＡＺＹＣ",
        "ｃｏｎｆｉｒｍ G1\u200bA1AZYC",
        "G1A1AZYC",
        " `G1A1-AZYC`. ",
        "_G1A1AZYC_",
        "g\u200b1a1azyc",
    ],
)
def test_a_code_that_nobody_knows_any_more_is_known_by_its_shape(said: str) -> None:
    (span,) = shaped_codes(said)
    masked = blank(said, range(*span))
    assert known_codes(masked, ["G1A1AZYC"]) == []
    assert re.search(r"(?i)^[\W_]*(confirm|cancel|ｃｏｎｆｉｒｍ|[*\W_]*$)", masked)
    if [*said_codes(said)]:
        assert redact(said)[0] == masked


@pytest.mark.parametrize(
    "said",
    [
        "please confirm 1000 NEAR to bob.near",
        "cancel 2500 near",
        "1000 NEAR",
        "confirm. Transfer it",
        "confirm: send 25 USDC to bob.testnet",
        "cancel all 20 tests",
        "confirm that 12345678 is right",
        "12345678",
        "confirmed 7K2M9QXA earlier",
        "the e-mail says: confirm by 12 a.m. today",
        "send 0.5 to a-b-c-d.near and cancel it",
    ],
)
def test_honest_texts_stay_as_they_are(said: str) -> None:
    assert [*shaped_codes(said)] == []
    assert redact(said)[0] == said


@pytest.mark.parametrize(
    "text", ["confirm " * 20_000, "confirm" + " " * 200_000, "confirm 1-" * 20_000, "Ｇ" * 200_000]
)
def test_texts_that_nearly_hold_codes_are_read_once(text: str) -> None:
    """A search that went back at each place would take minutes here."""
    assert [*shaped_codes(text)] == []
    assert known_codes(text, ["G1A1AZYC"] * 3) == []
