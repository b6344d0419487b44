"""One error out of a task group that holds one."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast


@contextmanager
def one_error() -> Generator[None]:
    """Task groups wrap what ends them, also an error of the code inside them; a single one is raised as it was."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _innermost(group) from None


def _innermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error in nested groups; the group where there are several."""
    inner, *others = group.exceptions
    if others:
        return group
    return (
        _innermost(cast("BaseExceptionGroup[BaseException]", inner)) if isinstance(inner, BaseExceptionGroup) else inner
    )
