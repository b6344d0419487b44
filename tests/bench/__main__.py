"""`python -m tests.bench [NAME ...]`: all tables, or those named. The exit code says nothing about speed."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench.chain import chain_figures, vm_figures
from tests.bench.daemon import comparison_figures, start_figures, view_figures
from tests.bench.figures import Figure, print_figures
from tests.bench.models import model_figures
from tests.bench.neighbour import neighbour_figures
from tests.bench.preflight import preflight_figures
from tests.bench.signing import signing_figures
from tests.bench.transfers import transfer_figures

_TABLES: Final[dict[str, tuple[str, Callable[[Path], list[Figure]]]]] = {
    "vm": ("Virtual machine", vm_figures),
    "signing": ("Signing", signing_figures),
    "localnet": ("Embedded chain, alone", chain_figures),
    "start": ("Start and command line", start_figures),
    "views": ("Daemon", view_figures),
    "models": ("Questions that a model plans, next to LiteLLM's proxy", model_figures),
    "preflight": ("Pre-flight and policy, each kind of change", preflight_figures),
    "transfers": ("Transfers through the whole daemon, chain in a process of its own", transfer_figures),
    "neighbour": ("One low key floods the daemon while another key works", neighbour_figures),
    "echo": ("The daemon next to a bare server", comparison_figures),
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(_TABLES)
    if unknown:
        print(f"no table {', '.join(sorted(unknown))}; there are {', '.join(_TABLES)}", file=sys.stderr)
        return 2
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    misses: list[Figure] = []
    for name in names or list(_TABLES):
        title, measure = _TABLES[name]
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(Path(folder))
        print_figures(title, figures)
        misses += [figure for figure in figures if not figure.holds]
    print(f"load {os.getloadavg()[0]:.1f} at the end; misses: {', '.join(figure.name for figure in misses) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
