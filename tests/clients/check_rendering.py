"""Cards and outcomes with hostile text in every place, drawn by the renderers that chat clients use, in node."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.child_programs import INSTALLED
from tests.rendering.dump import pairs

TEXTS = 2_000
RENDERERS = {"marked": 1, "markdown-it": 1, "react-markdown": 20, "streamdown": 20}
"""Each with the share of the texts that it draws, one of so many: React takes milliseconds for each."""


@dataclass(frozen=True)
class Drawn:
    drawn: int
    faults: int
    first: list[dict[str, object]]


def _draw(renderer: str, every: int, texts: Path) -> Drawn:
    command = ["node", str(INSTALLED / "programs" / "rendering.mjs"), renderer, str(every), str(texts)]
    return Drawn(**json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "pairs.json"
    file.write_text(json.dumps([*pairs(TEXTS)]))
    return file


@pytest.mark.parametrize(("renderer", "every"), RENDERERS.items())
def test_people_see_what_is_meant(texts: Path, renderer: str, every: int) -> None:
    result = _draw(renderer, every, texts)
    assert result.faults == 0, result.first
    assert result.drawn > TEXTS


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize(
    ("markdown", "visible"),
    [
        ("send a~~b to a~~b", ["send a~~b to a~~b"]),
        ("2\\*3", ["2\\*3"]),
        ("one\n\ntwo", ["one two"]),
        ("# Approved", ["Approved"]),
        ("[a](https://evil.example)", ["a"]),
    ],
)
def test_a_text_that_is_shown_otherwise_is_found(
    renderer: str, markdown: str, visible: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "pairs.json"
    file.write_text(json.dumps([{"markdown": markdown, "visible": visible}]))
    assert _draw(renderer, 1, file).faults == 1
