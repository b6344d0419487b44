"""A program on a terminal of its own, as a person sees it: a pseudo-terminal whose screen pyte draws."""

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyte

LIMIT_S: Final = 40.0
"""For one look: reached where something hangs, not where a machine is busy."""
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"
ENTER: Final = "\r"
TAB: Final = "\t"
_OPENED: Final = b"\x1b[?2004h"
_CLOSED: Final = b"\x1b[?2004l"
"""Pastes are marked while a line is edited: the one sure sign that keys are read, and that a line was taken."""
_TAKE_TERMINAL: Final = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Without a terminal of its own, Ctrl-C would be a byte and no signal."""


class _Screen(pyte.Screen):
    """Answers what programs ask a terminal, such as where the cursor is."""

    def __init__(self, columns: int, rows: int, reply: Callable[[str], None]) -> None:
        super().__init__(columns, rows)
        self._reply = reply

    def write_process_input(self, data: str) -> None:
        self._reply(data)


class Terminal:
    """The screen, and what was written to it so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int, columns: int, rows: int) -> None:
        self.process = process
        self.columns = columns
        self._master = master
        self._screen = _Screen(columns, rows, self.type)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self.pieces: list[bytes] = []

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def lines(self) -> list[str]:
        """The lines of the screen without their trailing blanks."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    def until(self, shown: Callable[[str], bool] | str) -> str:
        """Read until the screen shows it; the screen's text."""
        deadline = time.monotonic() + LIMIT_S
        while not (shown in self.text if isinstance(shown, str) else shown(self.text)):
            assert time.monotonic() < deadline, f"{shown} never came\n{self.text}"
            assert self._read() or self.process.poll() is None, f"it ended before {shown} came\n{self.text}"
        return self.text

    def at_prompt(self, prompt: str = ">") -> str:
        """Read until a line can be typed and its prompt is the screen's last line; the screen's text."""
        return self.until(lambda text: self._open() and text.split("\n")[-1].strip() == prompt)

    def enter(self, line: str, end: str = ENTER) -> None:
        """Type a line and end it, and wait until it is taken. What follows is read by whoever asks for it."""
        self.until(lambda _: self._open())
        before = self.written.count(_CLOSED)
        self.type(line + end)
        self.until(lambda _: self.written.count(_CLOSED) > before)

    def _open(self) -> bool:
        return self.written.count(_OPENED) > self.written.count(_CLOSED)

    def ended(self) -> int:
        """Read to the end; the exit code."""
        while self.process.poll() is None:
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.2)
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux's way to say that nobody holds the other end any more
            return False
        self.written += data
        self.pieces.append(data)
        self._stream.feed(data)
        return bool(data)


@contextmanager
def terminal(
    command: tuple[str, ...], environment: Mapping[str, str], folder: Path, *, columns: int = 100, rows: int = 80
) -> Generator[Terminal]:
    """A program on a terminal of this size; killed at the end if it still runs."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    unset = {"NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR"}
    kept = {name: value for name, value in environment.items() if name not in unset}
    with subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *command],
        env={"TERM": "xterm-256color", **{n: v for n, v in kept.items() if n != "TERM"}},
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master, columns, rows)
        finally:
            if process.poll() is None:
                process.kill()
            os.close(master)
