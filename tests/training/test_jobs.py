"""Runs against a scripted provider: nothing is paid twice, and every refusal says what to do."""

import hashlib
from collections.abc import Generator
from pathlib import Path

import pytest

from agent.records import SCHEMA_VERSION
from tests.training.provider_server import ProviderState, serving_provider
from tests.training.records import balance
from training.config import Settings, TrainingConfig
from training.data import dataset
from training.data.curation import curate
from training.data.formats import chat_line, check_lines, dump_lines
from training.data.interactions import collect
from training.errors import ConfigError, DatasetError, ProviderError
from training.jobs import cost, job
from training.jobs.provider import RUN_KEY, open_provider


@pytest.fixture
def provider_state() -> Generator[ProviderState]:
    with serving_provider() as state:
        yield state
    assert state.problems == []


def settings_for(state: ProviderState, folder: Path) -> Settings:
    training = TrainingConfig(
        base_url=state.url, api_key_env="TUNING_KEY", model="gpt-4o-mini", poll_s=0.01, suffix="near"
    )
    return Settings(data_dir=folder, training=training, api_key="secret-key")


def place_of(settings: Settings, count: int = 14) -> Path:
    """A data set on disk, made from that many answered requests."""
    curated = curate(collect([balance(n) for n in range(count)]).interactions, held_out_percent=20, seed=1)
    place = settings.folder / "datasets" / "d"
    place.mkdir(parents=True)
    entries: list[dataset.FileEntry] = []
    for name, side in ((dataset.TRAIN, curated.train), (dataset.HELD_OUT, curated.held_out)):
        content = dump_lines(chat_line(interaction) for interaction in side)
        (place / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        entries.append(dataset.FileEntry(name=name, lines=len(side), bytes=len(content), sha256=digest))
    manifest = dataset.Manifest(
        name="d",
        source="test",
        record_schema_version=SCHEMA_VERSION,
        records=count,
        first_request_id=None,
        last_request_id=None,
        left_out={},
        actions={},
        held_out_percent=20,
        seed=1,
        files=tuple(entries),
    )
    (place / dataset.MANIFEST).write_text(manifest.model_dump_json())
    return place


async def test_a_run_uploads_creates_and_succeeds(provider_state: ProviderState, tmp_path: Path) -> None:
    settings = settings_for(provider_state, tmp_path)
    place = place_of(settings)
    async with open_provider(settings) as provider:
        run = await job.submit(settings, job.prepare(settings, place, lambda: 1_790_000_000.0), provider)
        for _ in range(5):
            run = await job.refresh(settings, run, provider)
    assert (run.status, run.fine_tuned_model) == ("succeeded", "ft:gpt-4o-mini:org::ftjob-1")
    assert job.load(settings, run.run_id) == run == job.load(settings, None)
    (created,) = provider_state.jobs.values()
    assert created["metadata"] == {RUN_KEY: run.run_id}
    uploaded = dict(provider_state.files.values())
    assert uploaded[f"{run.run_id}-train.jsonl"] == (place / dataset.TRAIN).read_bytes()
    assert len(uploaded) == 2
    sent = {name.lower() for headers in provider_state.headers for name in headers}
    assert not sent & {"openai-organization", "openai-project"}


@pytest.mark.parametrize("fault", ["drop_job_answer", "drop_file_answer"])
async def test_a_lost_answer_makes_no_second_job_or_file(
    provider_state: ProviderState, tmp_path: Path, fault: str
) -> None:
    settings = settings_for(provider_state, tmp_path)
    provider_state.faults.append(fault)
    run = job.prepare(settings, place_of(settings), lambda: 1_790_000_000.0)
    async with open_provider(settings) as provider:
        with pytest.raises(ProviderError) as lost:
            await job.submit(settings, run, provider)
        assert lost.value.code == "no_answer"
        again = await job.submit(settings, job.load(settings, run.run_id), provider)
    assert again.job_id == "ftjob-1"
    assert len(provider_state.jobs) == 1
    assert len(provider_state.files) == 2


async def test_a_model_that_cannot_be_tuned_is_said_in_the_providers_words(
    provider_state: ProviderState, tmp_path: Path
) -> None:
    settings = settings_for(provider_state, tmp_path)
    provider_state.faults.append("model_not_found")
    run = job.prepare(settings, place_of(settings), lambda: 1_790_000_000.0)
    async with open_provider(settings) as provider:
        with pytest.raises(ProviderError, match="gpt-4o-mini is not available for fine-tuning") as refused:
            await job.submit(settings, run, provider)
    assert refused.value.code == "model_not_available"
    assert job.load(settings, run.run_id).job_id is None


async def test_a_failed_job_keeps_the_providers_reason(provider_state: ProviderState, tmp_path: Path) -> None:
    settings = settings_for(provider_state, tmp_path)
    provider_state.faults.append("failed_job")
    async with open_provider(settings) as provider:
        run = job.prepare(settings, place_of(settings), lambda: 1_790_000_000.0)
        run = await job.refresh(settings, await job.submit(settings, run, provider), provider)
    assert run.status == "failed"
    assert run.error is not None
    assert "at least 10 examples" in run.error


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    none = Settings(data_dir=tmp_path, training=TrainingConfig(api_key_env="TUNING_KEY"))
    with pytest.raises(ConfigError, match="TUNING_KEY is not set"):
        async with open_provider(none):
            pass
    with pytest.raises(ConfigError, match="model is not set"):
        job.prepare(none, tmp_path, lambda: 0.0)
    with pytest.raises(ConfigError, match="no run yet"):
        job.load(none, None)
    with pytest.raises(ConfigError, match="no run"):
        job.load(none, "../../etc")
    with pytest.raises(DatasetError, match="dataset build"):
        dataset.latest(none.folder)


def test_too_few_examples_are_refused_before_anything_is_sent(provider_state: ProviderState, tmp_path: Path) -> None:
    settings = settings_for(provider_state, tmp_path)
    with pytest.raises(DatasetError, match="at least 10 are needed") as few:
        job.checked_lines(settings, place_of(settings, count=6))
    assert few.value.code == "too_few_examples"
    assert provider_state.files == {}


def test_a_changed_data_set_is_refused(provider_state: ProviderState, tmp_path: Path) -> None:
    settings = settings_for(provider_state, tmp_path)
    place = place_of(settings)
    with (place / dataset.TRAIN).open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(DatasetError, match="not what its manifest says"):
        job.checked_lines(settings, place)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"messages": []}', "messages"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "not the assistant's"),
        (b'{"messages": [{"role": "robot", "content": "x"}]}', "role"),
        (b'{"messages": [{"role": "assistant", "content": "x"}], "weight": 1}', "weight"),
        (b"not json", "Invalid JSON"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(line: bytes, problem: str) -> None:
    good = b'{"messages": [{"role": "assistant", "content": "x"}]}'
    with pytest.raises(DatasetError, match=f"train.jsonl line 2.*{problem}"):
        check_lines(good + b"\n" + line + b"\n", "train.jsonl")


def test_the_estimate_counts_tokens_and_says_how() -> None:
    curated = curate(collect([balance(n) for n in range(12)]).interactions, held_out_percent=10, seed=0)
    lines = check_lines(dump_lines(chat_line(i) for i in curated.train), "train.jsonl")
    found = cost.estimate(lines, "ft:gpt-4.1-mini:org::x", 2, 3.0)
    assert found.lines == len(curated.train)
    assert found.trained_tokens == 2 * found.tokens
    assert found.price == pytest.approx(found.trained_tokens * 3 / 1_000_000)
    assert "o200k_base" in found.how or "characters" in found.how
    assert cost.line_tokens(lines[0], len) > 100
