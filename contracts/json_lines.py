"""One writer of JSON lines. Standard library only."""

import json
import re
from typing import Final

_BREAKS: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Line ends of Unicode (U+0085, U+2028, U+2029) that JSON leaves as they are, and controls that a terminal obeys."""


def json_line(value: object) -> str:
    """Return the value as JSON on one line, without its line end.

    No reader can break it: `str.splitlines` and JavaScript before ES2019 end a line where JSON allows raw characters.
    TypeError, ValueError if the value is no JSON.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
