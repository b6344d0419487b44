"""Write requirements.lock: every package pinned with hashes for Python 3.11 to 3.13, in three sections.

Needs uv on the path (`pip install uv`). The sections are build (what source distributions are built with),
default (what the daemon needs) and dev (what the tests need on top); the Makefile installs them apart.
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


def entries(lock: str) -> dict[str, str]:
    """Requirement text per `name==version ; marker`, in the lock's order."""
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.strip()):
        found[block.split("\\")[0].strip()] = block
    return found


def compile_lock(source: Path, *options: str) -> dict[str, str]:
    done = subprocess.run([*COMPILE, str(source), *options], capture_output=True, text=True, check=True, cwd=ROOT)
    return entries(done.stdout)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        wanted, pins = Path(folder, "build.in"), Path(folder, "default.txt")
        wanted.write_text("setuptools\n")
        build = compile_lock(wanted)
        default = compile_lock(ROOT / "pyproject.toml")
        pins.write_text("\n".join(default.values()))
        everything = compile_lock(ROOT / "pyproject.toml", "--extra", "dev", "--constraint", str(pins))
    dev = {name: text for name, text in everything.items() if name not in default and name not in build}
    sections = [("build", build), ("default", default), ("dev", dev)]
    lines = ["# Written by scripts/lock.py; do not edit."]
    for title, packages in sections:
        lines += [f"# section: {title}", *packages.values()]
    (ROOT / "requirements.lock").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
