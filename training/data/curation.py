"""Which interactions may become lines: clean, once each, and split so that no conversation is on both sides."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from training.data.interactions import Interaction

MAX_TEXT_CHARACTERS = 8_000
_SPECIAL = re.compile(r"<\|[^|>]{1,40}\|>")
_SECRET = re.compile(r"\b(ed25519|secp256k1):[1-9A-HJ-NP-Za-km-z]{60,}|\bsk-[A-Za-z0-9_-]{16,}|\bna_[A-Za-z0-9_-]{20,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Curated:
    train: tuple[Interaction, ...]
    held_out: tuple[Interaction, ...]
    left_out: Counter[str]


def curate(interactions: Sequence[Interaction], *, held_out_percent: int, seed: int) -> Curated:
    """Sanitised, deduplicated and split interactions; the same input and seed give the same split.

    One text with two different plans teaches nothing reliable: all of its interactions are left out.
    """
    left_out: Counter[str] = Counter()
    clean: list[Interaction] = []
    for interaction in interactions:
        reason = _unclean(interaction)
        if reason:
            left_out[reason] += 1
        else:
            clean.append(interaction)
    unique = _deduplicate(clean, left_out)
    held = _held_out_conversations(unique, held_out_percent, seed)
    return Curated(
        train=tuple(i for i in unique if i.conversation_id not in held),
        held_out=tuple(i for i in unique if i.conversation_id in held and i.kind == "words"),
        left_out=left_out,
    )


def fingerprint(text: str) -> str:
    """A text without case, spacing and final punctuation: what counts as the same request."""
    return " ".join(text.lower().split()).rstrip(".!? ")


def _unclean(interaction: Interaction) -> str | None:
    said = json.dumps([interaction.messages, interaction.calls], ensure_ascii=False)
    if len(interaction.text) > MAX_TEXT_CHARACTERS:
        return "too_long"
    if _SPECIAL.search(said):
        return "special_token_text"
    if _SECRET.search(said):
        return "looks_like_a_secret"
    if _CONTROL.search(interaction.text):
        return "control_characters"
    return None


def _deduplicate(interactions: Sequence[Interaction], left_out: Counter[str]) -> list[Interaction]:
    plans: dict[str, set[str]] = {}
    for interaction in interactions:
        plans.setdefault(fingerprint(interaction.text), set()).add(json.dumps(interaction.calls, sort_keys=True))
    seen: set[str] = set()
    unique: list[Interaction] = []
    for interaction in interactions:
        key = fingerprint(interaction.text)
        if len(plans[key]) > 1:
            left_out["contradictory_plans"] += 1
        elif key in seen:
            left_out["duplicate"] += 1
        else:
            seen.add(key)
            unique.append(interaction)
    return unique


def _held_out_conversations(interactions: Sequence[Interaction], percent: int, seed: int) -> set[str]:
    """Conversations for the held-out side: in the order of a seeded hash, until the share of testing lines is reached."""
    sizes: Counter[str] = Counter(i.conversation_id for i in interactions if i.kind == "words")
    if len(sizes) < 2:
        return set()
    wanted = max(1, round(sum(sizes.values()) * percent / 100))
    order = sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    held: set[str] = set()
    taken = 0
    for name in order[:-1]:
        if taken >= wanted:
            break
        held.add(name)
        taken += sizes[name]
    return held
