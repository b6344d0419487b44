"""Builds the embedded chain's contracts: `python -m contracts.localnet.sources.build`.

The compiler is Zig's clang from the development extra (`ziglang`); the same sources and version give the same bytes,
so the committed wasm can be compared with a fresh build.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).resolve().parent
WASM: Final = SOURCES.parent / "wasm"
CONTRACTS: Final = tuple(sorted(path.stem for path in SOURCES.glob("*.c")))

# MVP features only: every protocol version accepts them. The stack lies below the data, so that an overflow traps.
_FLAGS: Final = (
    "-target", "wasm32-freestanding", "-mcpu=mvp", "-std=c11", "-Os", "-g0", "-nostdlib", "-ffreestanding", "-fno-builtin",
    "-fno-sanitize=all", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-builtin-requires-header",
    "-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=65536",
)  # fmt: skip


def build(contract: str, target: Path) -> None:
    """Compiles `contract`.c to `target`. Raises CalledProcessError with the compiler's words on stderr."""
    with tempfile.TemporaryDirectory() as cache:
        places = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        subprocess.run(  # noqa: S603 (our own compiler on our own files)
            [sys.executable, "-m", "ziglang", "cc", *_FLAGS, "-o", str(target), f"{contract}.c"],
            cwd=SOURCES,
            env=places | {"PATH": os.defpath},
            check=True,
        )
    target.chmod(0o644)  # the linker makes it executable


def main() -> int:
    if importlib.util.find_spec("ziglang") is None:
        print("ziglang is not installed: pip install 'near-agent[dev]'", file=sys.stderr)  # noqa: T201
        return 2
    for contract in CONTRACTS:
        target = WASM / f"{contract}.wasm"
        build(contract, target)
        print(f"{target.name} {target.stat().st_size} bytes")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
