"""The clients of the matrix."""

import sys

from tests.clients.child_programs import python_program
from tests.clients.curl import open_curl
from tests.clients.seams import Row

ROWS: tuple[Row, ...] = (
    Row("openai (Python)", python_program("openai_py", sys.executable), {}),
    Row("curl", open_curl, {}),
)
