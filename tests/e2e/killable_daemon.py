"""A daemon that kills itself at a kill point: KILL_POINT, KILL_AT (the n-th time), KILL_FROM (`start` or `ready`)."""

import asyncio
import os
import signal

from agent.config import load_config
from agent.daemon import run_daemon
from agent.telemetry import set_up_logging


class Killer:
    def __init__(self, point: str, at: int, *, armed: bool) -> None:
        self._point = point
        self._left = at
        self.armed = armed

    def __call__(self, name: str) -> None:
        if self.armed and name == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    set_up_logging()
    environ = os.environ
    killer = Killer(environ["KILL_POINT"], int(environ["KILL_AT"]), armed=environ["KILL_FROM"] == "start")

    def announce(line: str) -> None:
        killer.armed = True
        print(line, flush=True)

    asyncio.run(run_daemon(load_config(None, environ), announce=announce, kill_point=killer))


if __name__ == "__main__":
    main()
