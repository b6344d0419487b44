"""Write requirements.lock: every package pinned with hashes for Python 3.11 to 3.13, in sections. And tests/bench/litellm.lock.

Needs uv on the path (`pip install uv`). Pins that still fit stay as they are; `--upgrade` takes the newest ones.
The sections are build (what source distributions are built with),
default (what the daemon needs) dev (what the tests need on top) and ranks
(the wheel that carries tiktoken's rank files); the Makefile installs them apart. What `make bench` compares the daemon with
goes into an environment of its own and has a lock of its own.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILE = [
    "uv",
    "pip",
    "compile",
    "--universal",
    "--python-version",
    "3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-annotate",
    "--no-header",
    "--quiet",
]

RANKS = (
    "llama-index-core==0.14.25 \\\n    --hash=sha256:caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1"
)
"""Only its copies of tiktoken's rank files are used (scripts/rank_files.py); it is never installed."""


def entries(lock: str) -> dict[str, str]:
    """Requirement text per `name==version ; marker`, in the lock's order."""
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.strip()):
        found[block.split("\\")[0].strip()] = block
    return found


def compile_lock(source: Path, pins: str, *options: str) -> dict[str, str]:
    """The requirements of a source; `pins` is a lock whose versions are preferred."""
    with tempfile.NamedTemporaryFile("w+", suffix=".txt") as output:
        output.write(pins)
        output.flush()
        subprocess.run([*COMPILE, str(source), "--output-file", output.name, *options], check=True, cwd=ROOT)
        return entries(Path(output.name).read_text(encoding="utf-8"))


def main() -> int:
    lock = ROOT / "requirements.lock"
    known = "" if "--upgrade" in sys.argv[1:] or not lock.exists() else lock.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        wanted, pins = Path(folder, "build.in"), Path(folder, "default.txt")
        wanted.write_text("setuptools\n")
        build = compile_lock(wanted, known)
        default = compile_lock(ROOT / "pyproject.toml", known)
        pins.write_text("\n".join(default.values()))
        everything = compile_lock(ROOT / "pyproject.toml", known, "--extra", "dev", "--constraint", str(pins))
    dev = {name: text for name, text in everything.items() if name not in default and name not in build}
    sections = [("build", build), ("default", default), ("dev", dev), ("ranks", {"ranks": RANKS})]
    lines = ["# Written by scripts/lock.py; do not edit."]
    for title, packages in sections:
        lines += [f"# section: {title}", *packages.values()]
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    lock_comparison()
    return 0


def lock_comparison() -> None:
    """What tests/bench/litellm.in asks for."""
    source = ROOT / "tests" / "bench" / "litellm.in"
    lock = source.with_suffix(".lock")
    known = "" if "--upgrade" in sys.argv[1:] or not lock.exists() else lock.read_text(encoding="utf-8")
    packages = compile_lock(source, known)
    text = "\n".join(["# Written by scripts/lock.py; do not edit.", *packages.values()])
    lock.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
