"""The lock of what the daemon is compared with: pinned by hashes, apart from the project's own."""

import re
from pathlib import Path

from tests.bench.litellm_proxy import LOCK

ROOT = Path(__file__).parents[2]


def test_the_proxy_is_pinned_by_hashes_and_names_no_index() -> None:
    lock = LOCK.read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock)[1:]
    assert len(entries) > 40
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_proxy_is_no_compromised_release_and_nothing_that_the_daemon_needs() -> None:
    (version,) = re.findall(r"^litellm==(\S+)", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert version not in {"1.82.7", "1.82.8"}
    assert "litellm" not in (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    assert "litellm" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8").lower()
