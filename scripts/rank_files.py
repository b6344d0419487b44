"""Put tiktoken's rank files where the token counts look for them: .venv/share/near-agent/tiktoken.

They come out of a published wheel that the lock pins by hash; each file is checked against tiktoken's own sha256.
Where the wheel cannot be had, counting falls back (see training/jobs/cost.py) and this says so; it never fails set-up.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = "llama_index/core/_static/tiktoken_cache/"
# Names are sha1 of the address tiktoken would fetch; values the sha256 that tiktoken 0.14 itself expects.
RANKS = {
    "fb374d419588a4632f3f557e76b4b70aebbca790": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "9b5ad71b2ce5302211f9c61530b329a4922fc6a4": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}


def main(requirements: str) -> int:
    target = Path(sys.prefix, "share", "near-agent", "tiktoken")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--disable-pip-version-check",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--dest",
            folder,
            "--requirement",
            requirements,
        ]
        done = subprocess.run(download, capture_output=True, text=True, check=False, timeout=300)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            print("no tiktoken rank files: token counts will be estimates", file=sys.stderr)
            return 0
        with zipfile.ZipFile(wheels[0]) as wheel:
            for name, expected in RANKS.items():
                content = wheel.read(FOLDER + name)
                if hashlib.sha256(content).hexdigest() != expected:
                    print(f"rank file {name} has another hash than tiktoken expects; left out", file=sys.stderr)
                    continue
                (target / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
