"""Request ids: UUIDv7 (RFC 9562), so that they sort by time. They are names, not secrets."""

import random
import time


def new_request_id(now_ms: int | None = None, random_bits: int | None = None) -> str:
    """A UUIDv7 of the time (Unix milliseconds) and 74 random bits; both can be given."""
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    bits = random.getrandbits(74) if random_bits is None else random_bits
    high, low = bits >> 62, bits & (2**62 - 1)
    text = f"{(milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
