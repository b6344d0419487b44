"""The configuration: where it is read, what overrides what, and how wrong things are named."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from agent.config import Config, known_keys, load_config, split_listen
from agent.errors import ConfigError
from contracts.knowledge.exchange import SwapSettings

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems_of(environ: Mapping[str, str], overrides: Mapping[str, JsonValue] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(None, environ, overrides)
    found = caught.value.details["problems"]
    assert caught.value.code == "config_invalid"
    assert isinstance(found, list)
    assert all(str(problem) in caught.value.message for problem in found)
    return [str(problem) for problem in found]


def written(folder: Path, text: str, name: str = "agent.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_nothing_configured_runs_the_embedded_chain() -> None:
    config = load_config(None, {"HOME": "/home/ann"})
    assert config.embedded
    assert config.rpc_urls == ()
    assert config.first_account == "alice.localnet"
    assert config.data_dir == Path(".near-agent")
    assert config.database_path == Path(".near-agent/agent.db")
    assert config.credentials_dir == Path(".near-agent/localnet/credentials")
    assert (config.daemon.listen, config.localnet.listen) == ("127.0.0.1:8787", "127.0.0.1:3030")


def test_the_shipped_file_says_the_defaults_and_names_every_key() -> None:
    shipped = ROOT / "agent.toml"
    assert load_config(shipped, {}) == load_config(None, {})
    text = shipped.read_text()
    for key in known_keys():
        section, _, name = key.rpartition(".")
        assert re.search(rf"^(# ?)?{name} = |^\[{name}\]", text, flags=re.MULTILINE), key
        assert not section or f"[{section}]" in text, key
    given = [line.partition(" = ")[0] for line in text.splitlines() if re.match(r"[a-z_]+ = ", line)]
    assert len(given) > 20
    for name in given:
        place = text.index(f"\n{name} = ")
        before = text[:place].rsplit("\n", 1)[-1]
        assert before.startswith(("#", "rpc", "]")), f"{name} has no comment above it"


def test_a_file_that_is_named_must_exist(empty_folder: Path) -> None:
    for path, environ in ((empty_folder / "no.toml", {}), (None, {"NEAR_AGENT_CONFIG": "no.toml"})):
        with pytest.raises(ConfigError, match=r"no\.toml") as caught:
            load_config(path, environ)
        assert caught.value.code == "config_missing"


def test_the_option_wins_over_the_variable_and_that_over_the_folder(empty_folder: Path) -> None:
    written(empty_folder, 'network = "testnet"')
    named = written(empty_folder, 'account_id = "b.near"', "b.toml")
    option = written(empty_folder, 'account_id = "c.near"', "c.toml")
    environ = {"NEAR_AGENT_CONFIG": str(named)}
    assert load_config(None, {}).network == "testnet"
    assert load_config(None, environ).account_id == "b.near"
    assert load_config(None, environ).network == "localnet"
    assert load_config(option, environ).account_id == "c.near"


def test_the_environment_overrides_the_file_and_the_command_line_both(empty_folder: Path) -> None:
    written(empty_folder, '[daemon]\nlisten = "127.0.0.1:1"\ngrace_s = 3')
    environ = {"NEAR_AGENT_DAEMON__LISTEN": "127.0.0.1:2", "PATH": "/bin", "NEARLY": "x"}
    assert load_config(None, environ).daemon.listen == "127.0.0.1:2"
    assert load_config(None, environ).daemon.grace_s == 3
    over = load_config(None, environ, {"daemon.listen": "[::1]:0", "daemon.data_dir": Path("/d"), "account_id": None})
    assert over.daemon.listen == "[::1]:0"
    assert over.data_dir == Path("/d")


def test_every_key_has_its_variable() -> None:
    values: dict[str, JsonValue] = {}
    environ = {
        "NEAR_AGENT_NETWORK": "testnet",
        "NEAR_AGENT_ALLOW_MAINNET": "true",
        "NEAR_AGENT_ACCOUNT_ID": "ann.testnet",
        "NEAR_AGENT_DAEMON__DATA_DIR": "~/d",
        "NEAR_AGENT_DAEMON__GRACE_S": "2.5",
        "NEAR_AGENT_LOCALNET__FINALITY_LAG_BLOCKS": "2",
        "NEAR_AGENT_NETWORKS__TESTNET__RPC": '["http://127.0.0.1:9/"]',
        "NEAR_AGENT_KEYS__CREDENTIALS_DIR": "~/keys",
        "NEAR_AGENT_MODELS__STANDARD__BASE_URL": "http://127.0.0.1:1/v1",
        "NEAR_AGENT_MODELS__STANDARD__MODEL": "m",
        "NEAR_AGENT_TRAINING__SUFFIX": "near",
        "HOME": "/home/ann",
    }
    config = load_config(None, environ, values)
    assert (config.network, config.allow_mainnet, config.account_id) == ("testnet", True, "ann.testnet")
    assert config.data_dir == Path("/home/ann/d")
    assert config.credentials_dir == Path("/home/ann/keys")
    assert config.daemon.grace_s == 2.5
    assert config.localnet.finality_lag_blocks == 2
    assert config.rpc_urls == ("http://127.0.0.1:9",)
    assert config.models.standard is not None
    assert config.models.standard.model == "m"
    assert config.training == {"suffix": "near"}


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("NEAR_AGENT_DAEMON__LISEN", "NEAR_AGENT_DAEMON__LISTEN"),
        ("NEAR_AGENT_NETWROK", "NEAR_AGENT_NETWORK"),
        ("NEAR_AGENT_DAEMON_LISTEN", "NEAR_AGENT_DAEMON__LISTEN"),
        ("NEAR_AGENT_Network", "NEAR_AGENT_NETWORK"),
        ("NEAR_AGENT_MODELS__STANDARD__API_KEY", "NEAR_AGENT_MODELS__STANDARD__API_KEY_ENV"),
        ("NEAR_AGENT_NETWORKS__TESTNT__RPC", "NEAR_AGENT_NETWORKS__TESTNET__RPC"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_the_nearest(variable: str, nearest: str) -> None:
    assert problems_of({variable: "x"})[0].endswith(f"{variable} is not a known variable; nearest: {nearest}")


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ('netwrok = "testnet"', "netwrok", "network"),
        ("[daemon]\ngrace = 3", "daemon.grace", "daemon.grace_s"),
        ("[daemn]\ngrace_s = 3", "daemn", "daemon"),
        ('[networks.mainet]\nrpc = ["https://x"]', "networks.mainet", "networks.mainnet"),
        ("[models.standrd]\n", "models.standrd", "models.standard"),
    ],
)
def test_a_misspelt_key_is_an_error_that_names_the_nearest(
    empty_folder: Path, text: str, key: str, nearest: str
) -> None:
    written(empty_folder, text)
    assert problems_of({}) == [f"agent.toml: {key} is not a known key; nearest: {nearest}"]


def test_everything_wrong_is_said_at_once_with_its_place(empty_folder: Path) -> None:
    written(empty_folder, 'network = "mainnt"\n[daemon]\nlisten = "8787"')
    found = problems_of({"NEAR_AGENT_DAEMON__GRACE_S": "-1"}, {"localnet.listen": "127.0.0.1:99999"})
    assert found == [
        "agent.toml: network: Input should be 'localnet', 'testnet' or 'mainnet' (got 'mainnt')",
        "agent.toml: daemon.listen: '8787' is not HOST:PORT, for example 127.0.0.1:8787 (got '8787')",
        "NEAR_AGENT_DAEMON__GRACE_S: daemon.grace_s: Input should be greater than or equal to 0 (got '-1')",
        "the command line: localnet.listen: port 99999 is above 65535 (got '127.0.0.1:99999')",
    ]


def test_a_value_where_a_section_is_expected_is_named(empty_folder: Path) -> None:
    written(empty_folder, "daemon = 5")
    assert any("daemon is not a section" in problem for problem in problems_of({"NEAR_AGENT_DAEMON__GRACE_S": "1"}))


@pytest.mark.parametrize("text", ["network = ", "\xff\xfe", "[daemon\n"])
def test_a_file_that_is_no_toml_is_named(empty_folder: Path, text: str) -> None:
    path = empty_folder / "broken.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"broken\.toml cannot be read as TOML"):
        load_config(path, {})


def test_mainnet_is_taken_only_on_purpose() -> None:
    assert "allow_mainnet = true" in problems_of({"NEAR_AGENT_NETWORK": "mainnet"})[0]
    config = load_config(None, {"NEAR_AGENT_NETWORK": "mainnet", "NEAR_AGENT_ALLOW_MAINNET": "true"})
    assert config.first_account is None
    assert config.chosen_network.proof_operators == 2


def test_testnet_ships_with_addresses_and_keeps_them_when_another_key_is_set(empty_folder: Path) -> None:
    written(empty_folder, 'network = "testnet"\n[networks.testnet]\nproof_operators = 1')
    config = load_config(None, {"HOME": "/home/ann"})
    assert [endpoint.archival for endpoint in config.rpc_endpoints] == [False] * 4 + [True]
    assert not any("near.org" in str(node) for node in (*config.rpc_urls, *config.networks.mainnet.rpc))
    assert config.chosen_network.proof_operators == 1
    assert config.credentials_dir == Path("/home/ann/.near-credentials")
    assert "at least 1 item" in problems_of({"NEAR_AGENT_NETWORKS__TESTNET__RPC": "[]"})[0]


def test_an_address_for_localnet_embeds_no_chain(empty_folder: Path) -> None:
    environ = {"NEAR_AGENT_NETWORKS__LOCALNET__RPC": '["http://127.0.0.1:3030"]', "HOME": "/home/ann"}
    config = load_config(None, environ)
    assert not config.embedded
    assert config.first_account is None
    assert config.chosen_network.proof_operators == 1
    assert config.credentials_dir == Path("/home/ann/.near-credentials")
    (empty_folder / ".near-agent/localnet/credentials").mkdir(parents=True)
    assert config.credentials_dir == Path(".near-agent/localnet/credentials")


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:1", '"http://127.0.0.1:1"', "[1]", '["ftp://x"]', '["127.0.0.1:1"]']
)
def test_rpc_addresses_are_a_json_list_of_http_addresses(text: str) -> None:
    assert len(problems_of({"NEAR_AGENT_NETWORKS__LOCALNET__RPC": text})) == 1


def model(api_key_env: str) -> dict[str, str]:
    prefix = "NEAR_AGENT_MODELS__SPECIALIST__"
    return {prefix + "BASE_URL": "http://127.0.0.1:1", prefix + "MODEL": "m", prefix + "API_KEY_ENV": api_key_env}


@pytest.mark.parametrize(
    "key",
    ["sk-proj-abcDEF1234567890", "na_" + "a" * 43, "gsk_1234", "A1b2" * 10, "Bearer abc", "hf_abcdefgh1", "my key"],
)
def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated(key: str) -> None:
    found = problems_of(model(key))
    assert "api_key_env" in found[0]
    assert key not in found[0]


def test_a_models_key_comes_from_the_variable_that_is_named_and_is_not_shown() -> None:
    config = load_config(None, model("MY_KEY") | {"MY_KEY": "hush-hush"})
    endpoint = config.models.specialist
    assert endpoint is not None
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == "hush-hush"
    assert "hush-hush" not in repr(config) + str(config) + config.model_dump_json()
    unset = load_config(None, model("MY_KEY")).models.specialist
    assert unset is not None
    assert unset.api_key is None


@pytest.mark.parametrize("account", ["Alice.testnet", "a", "@me", "", "alice..testnet"])
def test_an_account_id_is_checked(account: str) -> None:
    assert "account_id" in problems_of({"NEAR_AGENT_ACCOUNT_ID": account})[0]


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-3", "abc", ""])
def test_a_deadline_is_finite_and_above_zero(value: str) -> None:
    assert "approval_ttl_s" in problems_of({"NEAR_AGENT_DAEMON__APPROVAL_TTL_S": value})[0]


def test_training_is_kept_as_it_is_written(empty_folder: Path) -> None:
    text = '[training]\nbase_url = "https://x"\nepochs = 3\nanything = { goes = [1, 2] }'
    written(empty_folder, text)
    assert load_config(None, {}).training == tomllib.loads(text)["training"]
    assert "training.learning_rate" not in known_keys()


def test_a_configuration_does_not_change_once_read() -> None:
    config = load_config(None, {})
    with pytest.raises(ValueError, match="frozen"):
        config.network = "mainnet"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("localhost:1", ("localhost", 1))],
)
def test_listen_is_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert split_listen(text) == expected


@pytest.mark.parametrize(
    "text", ["8787", ":8787", "127.0.0.1", "127.0.0.1:", "::1:80", "a:b", "a:-1", "a:65536", "a:٣"]
)
def test_what_is_not_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.compile("HOST:PORT|above")):
        split_listen(text)


def test_importing_the_configuration_pulls_in_no_database_and_no_http() -> None:
    code = "import sys, json; import agent.config; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ}
    )
    assert not {"sqlalchemy", "alembic", "aiohttp", "openai"} & set(json.loads(done.stdout))
    assert Config().network == "localnet"


NODES = """
network = "testnet"
[networks.testnet]
rpc = [
    "https://user:PASSWORD@rpc.example.org/path?apiKey=SECRET",
    {url = "https://archive.example.net", operator = "Example", archival = true, requests_per_s = 5, api_key_env = "RPC_KEY"},
]
"""


def test_nodes_are_addresses_or_tables_and_show_no_key(empty_folder: Path) -> None:
    written(empty_folder, NODES)
    config = load_config(None, {"RPC_KEY": "KEY-OF-THE-PROVIDER"})
    first, second = config.rpc_endpoints
    assert (first.operator, first.archival, first.shown) == ("example.org", False, "https://rpc.example.org")
    assert (second.operator, second.archival, second.requests_per_s) == ("Example", True, 5.0)
    assert first.authorization is not None
    assert first.authorization.startswith("Basic ")
    assert "PASSWORD" not in first.url
    assert second.authorization == "Bearer KEY-OF-THE-PROVIDER"
    shown = f"{config!r} {config} {config.rpc_endpoints!r}"
    assert not any(secret in shown for secret in ("SECRET", "PASSWORD", "KEY-OF-THE-PROVIDER", first.authorization))


@pytest.mark.parametrize(
    "wrong",
    [
        '"htps://rpc.example.org/?apiKey=SECRET"',
        '{url = "rpc.example.org/SECRET"}',
        '{url = "https://a.example.org/SECRET", colour = "red"}',
        '{url = "https://a.example.org", api_key_env = "sk-SECRET-SECRET"}',
        '{url = "https://a.example.org", requests_per_s = 0}',
    ],
)
def test_a_wrong_node_is_told_without_its_key(wrong: str, empty_folder: Path) -> None:
    written(empty_folder, f"[networks.localnet]\nrpc = [{wrong}]")
    with pytest.raises(ConfigError) as caught:
        load_config(None, {})
    assert "networks.localnet.rpc.0" in caught.value.message
    assert "SECRET" not in f"{caught.value.message} {caught.value.details}"


def test_what_a_swap_may_cost_is_exact_text(empty_folder: Path) -> None:
    assert load_config(None, {}).swap.settings == SwapSettings(5_000, 50_000, 100_000)
    written(
        empty_folder,
        '[swap]\nslippage_percent = "0.0001"\nmax_slippage_percent = "1"\nmax_price_impact_percent = "100"',
    )
    assert load_config(None, {}).swap.settings == SwapSettings(1, 10_000, 1_000_000)
    for text, said in (
        ('slippage_percent = "0.00001"', "at most 4 decimals"),
        ('slippage_percent = "-1"', "is not a percentage"),
        ('max_price_impact_percent = "101"', "from 0 to 100"),
        ("slippage_percent = 0.5", "swap.slippage_percent"),
        ('slippage_percent = "6"', "above max_slippage_percent"),
    ):
        written(empty_folder, f"[swap]\n{text}")
        with pytest.raises(ConfigError, match=re.escape(said)):
            load_config(None, {})


def test_the_limits_that_people_meet_are_shown_in_one_line() -> None:
    shown = load_config(None, {"NEAR_AGENT_LIMITS__REQUESTS": "5"}).limits.shown
    for part in (
        "5 requests at once (20 for a shared key)",
        "2,000 messages",
        "50,000 JSON values",
        "256 KiB of a contract's",
    ):
        assert part in shown
    assert problems_of({"NEAR_AGENT_LIMITS__REQUESTS": "0"})
