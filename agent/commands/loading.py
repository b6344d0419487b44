"""How a command that opens the runtime is loaded, which is most of what its start takes."""

import gc
from collections.abc import Generator
from contextlib import contextmanager, suppress

from agent.config import Config


@contextmanager
def loading(config: Config) -> Generator[None]:
    """Around the imports: a new embedded chain is prepared beside them, and nothing is searched for garbage.

    What is loaded lives until the end. Looking it through again and again while it grows takes a sixth of the time.
    """
    gc.disable()
    try:
        if config.embedded:
            from contracts.folders import make_private_folder
            from contracts.localnet.preparing import prepared

            with suppress(OSError):  # the folder's lock is what says so
                make_private_folder(config.data_dir)
            with prepared(config.data_dir, config.localnet.epoch_length_blocks):
                yield
        else:
            yield
    finally:
        gc.freeze()
        gc.enable()
