"""A data set on disk: train.jsonl, held_out.jsonl and a manifest that says where they came from.

    DATA_DIR/training/datasets/NAME/{train.jsonl, held_out.jsonl, manifest.json}

NAME is the first 16 characters of the hash over both files: the same records give the same data set.
"""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.records import SCHEMA_VERSION, read_records
from contracts.private_files import write_private
from training.data.curation import Curated, curate
from training.data.formats import chat_line, dump_lines
from training.data.interactions import collect
from training.errors import DatasetError

TRAIN = "train.jsonl"
HELD_OUT = "held_out.jsonl"
MANIFEST = "manifest.json"


class FileEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    lines: int
    bytes: int
    sha256: str


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    """The database the records came from."""
    record_schema_version: int
    records: int
    first_request_id: str | None
    last_request_id: str | None
    left_out: dict[str, int]
    """Reason -> records or interactions."""
    actions: dict[str, int]
    """Catalogue action -> lines of both files that hold it."""
    held_out_percent: int
    seed: int
    files: tuple[FileEntry, ...]

    def lines(self, file: str) -> int:
        return next(entry.lines for entry in self.files if entry.name == file)


def build(database: Path, folder: Path, *, held_out_percent: int, seed: int) -> tuple[Path, Manifest]:
    """Read the records, write a data set below `folder`, and return its place and manifest.

    DatasetError `no_records` where the database is missing or holds nothing that can be trained on.
    """
    if not database.is_file():
        raise DatasetError("no_records", f"no database at {database}; run the daemon and send it requests first")
    records = list(read_records(database))
    harvest = collect(records)
    curated = curate(harvest.interactions, held_out_percent=held_out_percent, seed=seed)
    left_out = harvest.left_out + curated.left_out
    if not curated.train:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items())) or "none"
        message = f"none of {len(records)} records can be trained on (left out: {reasons}); executed plans are needed"
        raise DatasetError("no_records", message)
    contents = {TRAIN: _content(curated, TRAIN), HELD_OUT: _content(curated, HELD_OUT)}
    name = hashlib.sha256(b"\0".join(contents.values())).hexdigest()[:16]
    ids = [record.request.request_id for record in records]
    manifest = Manifest(
        name=name,
        source=str(database),
        record_schema_version=SCHEMA_VERSION,
        records=len(records),
        first_request_id=min(ids, default=None),
        last_request_id=max(ids, default=None),
        left_out=dict(sorted(left_out.items())),
        actions=_actions(curated),
        held_out_percent=held_out_percent,
        seed=seed,
        files=tuple(_entry(file, content) for file, content in contents.items()),
    )
    place = folder / "datasets" / name
    for file, content in contents.items():
        write_private(place / file, content)
    write_private(place / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return place, manifest


def load_manifest(place: Path) -> Manifest:
    """A data set's manifest, its files checked against it; DatasetError `dataset_missing` or `dataset_changed`."""
    path = place / MANIFEST
    if not path.is_file():
        raise DatasetError("dataset_missing", f"no data set at {place}; build one with: near-train dataset build")
    manifest = Manifest.model_validate_json(path.read_bytes())
    for entry in manifest.files:
        if hashlib.sha256((place / entry.name).read_bytes()).hexdigest() != entry.sha256:
            raise DatasetError("dataset_changed", f"{place / entry.name} is not what its manifest says; build it again")
    return manifest


def latest(folder: Path) -> Path:
    """The data set built last; DatasetError `dataset_missing` where there is none."""
    found = sorted((folder / "datasets").glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise DatasetError("dataset_missing", "no data set yet; build one with: near-train dataset build")
    return found[-1].parent


def _content(curated: Curated, file: str) -> bytes:
    side = curated.train if file == TRAIN else curated.held_out
    return dump_lines(chat_line(interaction) for interaction in side)


def _entry(file: str, content: bytes) -> FileEntry:
    digest = hashlib.sha256(content).hexdigest()
    return FileEntry(name=file, lines=content.count(b"\n"), bytes=len(content), sha256=digest)


def _actions(curated: Curated) -> dict[str, int]:
    counts: dict[str, int] = {}
    for interaction in (*curated.train, *curated.held_out):
        for action in {action for action, _ in interaction.calls}:
            counts[action] = counts.get(action, 0) + 1
    return dict(sorted(counts.items()))
