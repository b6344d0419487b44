"""What secrets look like: prefixes of keys and tokens, lengths of encodings, words before them.

A 32-byte value in hex, base58 or base64 looks like a hash, a public key or an implicit account, which must stay readable: it
is taken for a secret only where the words before it say so. 64 bytes in hex, base64 or as a list of numbers are one where
the second half is the public key of the first, which is proof; in base58 the length alone is enough, but for what people are
shown, where signatures (`ed25519:` and 64 bytes too) must stay.
"""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import base58

B58: Final = "1-9A-HJ-NP-Za-km-z"
_SEED_BYTES: Final = 32
_NAMING: Final = (
    *("private", "secret", "seed", "priv", "clave", "clé", "cle", "schlüssel", "chave", "chiave"),
    *("закрыт", "приватн", "секретн", "秘密鍵", "私钥", "私鑰", "비밀키", "개인키"),
)
_NAMED: Final = (
    r"(?i:private|secret|\bseed\b|\bpriv[\s_-]?key|clave[\s_]privada|cl[ée][\s_]priv[ée]e|privater?[\s_-]?schlüssel"
    r"|chave[\s_]privada|chiave[\s_]privata|закрыт|приватн|секретн|秘密鍵|私钥|私鑰|비밀키|개인키)"
)
"""Words for a secret key, in some languages."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`triggers`: one of them occurs in the lower-cased text, or there are none. Group 1 is what is masked."""

    triggers: tuple[str, ...]
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None
    guess: bool = False
    """Told by the words before it alone: whoever chooses those could have something else blanked, so cards keep it."""


def is_key_pair(raw: bytes) -> bool:
    """Whether 64 bytes are an ed25519 seed and its public key."""
    from nacl.signing import SigningKey

    return len(raw) == 2 * _SEED_BYTES and bytes(SigningKey(raw[:_SEED_BYTES]).verify_key) == raw[_SEED_BYTES:]


def is_base58_pair(text: str) -> bool:
    try:
        return len(text) <= 100 and is_key_pair(base58.b58decode(text.encode()))
    except ValueError:
        return False


def _is_hex_pair(text: str) -> bool:
    return is_key_pair(bytes.fromhex(text))


def _is_base64_pair(text: str) -> bool:
    try:
        return is_key_pair(base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)))
    except ValueError:
        return False


def _is_list_of_bytes(text: str) -> bool:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return max(numbers) < 256 and is_key_pair(bytes(numbers))


def _token(prefix: str, body: str, *triggers: str) -> Shape:
    return Shape(triggers, re.compile(rf"(?<![A-Za-z0-9_-])({prefix}{body})"))


ED25519: Final = Shape(("ed25519",), re.compile(rf"(?i:ed25519(?::|%3a))([{B58}]{{64,}})"))
BARE: Final = Shape((), re.compile(rf"(?<![A-Za-z0-9+_-])(?<!secp256k1:)([{B58}]{{85,88}})(?![A-Za-z0-9+/=_-])"))
"""Only looked for where a run of such characters is long enough."""

SHAPES: Final[tuple[Shape, ...]] = (
    ED25519,
    Shape(("secp256k1",), re.compile(rf"(?i:secp256k1(?::|%3a))([{B58}]{{32,46}})(?![{B58}])")),
    Shape(
        _NAMING,
        re.compile(
            rf"{_NAMED}[^\n]{{0,40}}?(?<![A-Za-z0-9+/_-])((?:0x)?[0-9a-fA-F]{{64}}|[{B58}]{{42,44}}|[A-Za-z0-9+/_-]{{43}}=?"
            r"|\[\s{0,4}(?:\d{1,3}\s{0,4},\s{0,4}){31}\d{1,3}\s{0,4}\])(?![A-Za-z0-9+/=_-])"
        ),
        guess=True,
    ),
    Shape(("bearer",), re.compile(r"(?i:\bbearer)\s+([A-Za-z0-9._~+/=-]{8,})"), guess=True),
    Shape(
        ("basic",),
        re.compile(r"(?i:\bauthorization[\s\"']{0,8}[:=][\s\"']{0,8}basic)\s+([A-Za-z0-9+/=]{8,})"),
        guess=True,
    ),
    Shape(("na_",), re.compile(r"(?<![A-Za-z0-9_-])(na_[A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")),
    _token("sk-", r"[A-Za-z0-9_-]{16,}", "sk-"),
    _token("(?:sk|rk|pk)_live_", r"[A-Za-z0-9]{16,}", "_live_"),
    _token("gsk_", r"[A-Za-z0-9]{16,}", "gsk_"),
    _token("hf_", r"[A-Za-z0-9]{16,}", "hf_"),
    _token("gh[pousr]_", r"[A-Za-z0-9]{20,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _token("github_pat_", r"[A-Za-z0-9_]{20,}", "github_pat_"),
    _token("glpat-", r"[A-Za-z0-9_-]{16,}", "glpat-"),
    _token("npm_", r"[A-Za-z0-9]{30,}", "npm_"),
    _token("xox[abposr]-", r"[A-Za-z0-9-]{16,}", "xox"),
    _token("(?:AKIA|ASIA)", r"[A-Z0-9]{16}(?![A-Za-z0-9])", "akia", "asia"),
    _token("AIza", r"[A-Za-z0-9_-]{35}", "aiza"),
    _token(r"SG\.[A-Za-z0-9_-]{16,32}\.", r"[A-Za-z0-9_-]{16,}", "sg."),
    _token(r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.", r"[A-Za-z0-9_-]{10,}", "eyj"),
    _token(r"\d{8,10}:AA", r"[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])", ":aa"),
    Shape(("://",), re.compile(r"://[^\s/@:\"']{0,80}:((?!\*)[^\s/@\"']{3,80})@"), guess=True),
    Shape(
        ("key",),
        re.compile(r"(?i)(?:private|secret|api)[_ -]?key[\s\"']{0,8}[:=][\s\"']{0,8}((?!\*)[^\s\"',;&}\]]{6,})"),
        guess=True,
    ),
    Shape(("key=", "token="), re.compile(r"(?i)[?&](?:key|token|access_token|auth)=((?!\*)[^\s\"'&]{6,})"), guess=True),
    Shape(
        ("passw", "passphrase"),
        re.compile(r"(?i)(?:passw(?:or)?d|passphrase)[\s\"']{0,8}[:=][\s\"']{0,8}((?!\*)[^\s\"',;&}\]]{3,})"),
        guess=True,
    ),
)

LONG: Final[tuple[Shape, ...]] = (
    Shape((), re.compile(r"(?<![0-9A-Za-z])(?:0x)?([0-9a-fA-F]{128})(?![0-9A-Za-z])"), _is_hex_pair),
    Shape(
        (), re.compile(r"(?<![A-Za-z0-9+_-])([A-Za-z0-9+/_-]{85}[AQgw](?:==)?)(?![A-Za-z0-9+/=_-])"), _is_base64_pair
    ),
)
"""Only looked for where a run of base64 characters is long enough for 64 bytes."""

NUMBERS: Final = Shape((), re.compile(r"(\[\s{0,4}(?:\d{1,3}\s{0,4},\s{0,4}){63}\d{1,3}\s{0,4}\])"), _is_list_of_bytes)


def found_by(shape: Shape, text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where this shape's secrets stand, between two places."""
    for match in shape.pattern.finditer(text, begin, end):
        if shape.check is None or shape.check(match[1]):
            yield match.start(1), match.end(1)
