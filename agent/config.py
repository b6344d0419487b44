"""The configuration: one file, the environment over it, the command line over both; read once, by `load_config`.

Unknown keys and unknown `NEAR_AGENT_*` variables are errors that name the nearest known one. Keys carry their unit.
Public RPC addresses: near/docs providers page, FASTNEAR's builder docs, near-cli-rs; the deprecated near.org ones are not
among them.
"""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, cast, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    JsonValue,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from agent.config_nodes import RpcNode, nodes
from agent.config_sections import Address, Section, VariableName
from agent.data_folder import DATABASE_NAME
from agent.errors import ConfigError
from agent.limits import Limits
from contracts.chain.endpoints import Endpoint
from contracts.errors import InvalidInput
from contracts.knowledge.exchange import SwapSettings, parse_percent
from contracts.types import AccountId, JsonObject

PREFIX: Final = "NEAR_AGENT_"
CONFIG_VARIABLE: Final = "NEAR_AGENT_CONFIG"
DEFAULT_FILE: Final = "agent.toml"
EMBEDDED_ACCOUNT: Final = AccountId("alice.localnet")

Network: TypeAlias = Literal["localnet", "testnet", "mainnet"]


_MAY_BE_SECRET: Final = frozenset({"api_key_env", "base_url", "url"})


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPv6]:PORT`. ValueError where it is neither."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (colon and host) or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:8787")
    if int(port) > 65535:
        raise ValueError(f"port {port} is above 65535")
    return (host[1:-1] if bracketed else host), int(port)


def _listen(text: str) -> str:
    split_listen(text)
    return text


def _percent(text: str) -> str:
    try:
        parse_percent(text)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return text


def _expand(path: Path, info: ValidationInfo) -> Path:
    """`~` by the environment that was passed in."""
    return _home(info.context) / Path(*path.parts[1:]) if path.parts[:1] == ("~",) else path


def _home(environ: Mapping[str, str] | None) -> Path:
    return Path((environ or {}).get("HOME") or Path.home())


Folder: TypeAlias = Annotated[Path, AfterValidator(_expand)]
Listen: TypeAlias = Annotated[str, AfterValidator(_listen)]
Percent: TypeAlias = Annotated[str, AfterValidator(_percent)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class DaemonConfig(Section):
    listen: Listen = "127.0.0.1:8787"
    data_dir: Folder = Path(".near-agent")
    grace_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 10.0
    """How long running requests may finish after SIGTERM."""
    request_timeout_s: Seconds = 120.0
    approval_ttl_s: Seconds = 600.0
    """How long a card waits for its code."""
    duplicate_window_s: Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)] = 3600.0
    """A plan that was executed within this time gets a warning on its new card."""


class LocalnetConfig(Section):
    listen: Listen = "127.0.0.1:3030"
    finality_lag_blocks: Annotated[int, Field(ge=0, le=1000)] = 0
    heartbeat_s: Seconds = 1.0
    """An empty block is produced after this time without transactions."""
    epoch_length_blocks: Annotated[int, Field(ge=1, le=1_000_000)] = 43_200
    """Of a chain that is begun; one that is there keeps its own."""


class SimulationConfig(Section):
    """Limits of the check before a card and before a signature; `identity` is an API key."""

    processes: Annotated[int, Field(ge=1, le=16)] = 2
    """Sandbox processes; an identity uses one at a time."""
    queue_s: Seconds = 30.0
    """The wait for a turn at them; a plan that gets none is not checked, and its card stays as it is."""
    waiting_per_identity: Annotated[int, Field(ge=1, le=1000)] = 8
    """Plans of an identity that wait for their turn, and as many confirmations; further ones are refused."""
    reads_per_identity: Annotated[int, Field(ge=1, le=1000)] = 8
    """Requests to nodes that the checks of an identity's plans have under way together."""
    host_work_s: Annotated[float, Field(gt=0, le=4, allow_inf_nan=False)] = 2.0
    """Estimated time of a plan's host functions, which are Python; a plan that needs more is too expensive to compute here."""

    @property
    def shown(self) -> str:
        """The limits that people meet, in one line."""
        return (
            f"{self.processes} processes, one at a time for an identity, {self.waiting_per_identity} plans of it may wait, "
            f"{self.queue_s:g} s for a turn, {self.host_work_s:g} s of host functions for a plan"
        )


class NetworkConfig(Section):
    rpc: tuple[RpcNode, ...]
    """Addresses, or tables `{url, operator, archival, requests_per_s, api_key_env}`, in order of preference."""
    proof_operators: Annotated[int, Field(ge=1, le=16)]
    """How many RPC operators must agree on what a change is built from, on the signer's state, on how a transaction ended, and
    that one is dead.
    """


class LocalnetNetwork(NetworkConfig):
    rpc: tuple[RpcNode, ...] = ()
    """Empty: the embedded chain."""
    proof_operators: Annotated[int, Field(ge=1, le=16)] = 1


class TestnetNetwork(NetworkConfig):
    rpc: Annotated[tuple[RpcNode, ...], Field(min_length=1)] = nodes(
        "https://rpc.testnet.fastnear.com",
        "https://test.rpc.fastnear.com",
        "https://near-testnet.drpc.org",
        "https://neart.lava.build",
        archival="https://archival-rpc.testnet.fastnear.com",
    )
    proof_operators: Annotated[int, Field(ge=1, le=16)] = 2


class MainnetNetwork(NetworkConfig):
    rpc: Annotated[tuple[RpcNode, ...], Field(min_length=1)] = nodes(
        "https://free.rpc.fastnear.com",
        "https://rpc.mainnet.fastnear.com",
        "https://near.drpc.org",
        "https://near.lava.build",
        "https://1rpc.io/near",
        "https://near.blockpi.network/v1/rpc/public",
        "https://rpc.intea.rs",
        archival="https://archival-rpc.mainnet.fastnear.com",
    )
    proof_operators: Annotated[int, Field(ge=1, le=16)] = 2


class NetworksConfig(Section):
    localnet: LocalnetNetwork = LocalnetNetwork()
    testnet: TestnetNetwork = TestnetNetwork()
    mainnet: MainnetNetwork = MainnetNetwork()


class RpcConfig(Section):
    """Deadlines and limits of the calls to RPC nodes, and of the wait for a transaction's end."""

    connect_timeout_s: Seconds = 5.0
    request_timeout_s: Seconds = 20.0
    """One request, connection and answer together; nodes themselves wait up to 10 s for a transaction."""
    read_timeout_s: Seconds = 30.0
    """One read with all its attempts."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 4
    """Requests that one read may make, over all addresses."""
    max_body_bytes: Annotated[int, Field(ge=65_536)] = 8_388_608
    confirm_timeout_s: Seconds = 60.0
    """How long a sent transaction is followed before it is called unconfirmed."""
    settle_timeout_s: Seconds = 15.0
    """The same for one that is taken up again after a restart."""
    poll_s: Seconds = 0.5
    """Pause between two looks at a transaction that is not final."""
    resend_s: Seconds = 3.0
    """Pause between two sends of the same bytes."""
    watch_interval_s: Seconds = 30.0
    """Pause between two looks at the nodes' chain, height and clock."""
    max_clock_skew_s: Seconds = 120.0
    """A node of a public network whose newest block is further from this machine's clock is not asked."""
    max_lag_blocks: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """A node that is further behind the others is not asked."""
    hedge_ms: Annotated[float, Field(ge=1, le=60_000, allow_inf_nan=False)] = 250.0
    """A read that takes longer is asked of a second node as well."""
    settle_interval_s: Seconds = 30.0
    """Pause between two looks at everything that was sent and has no end yet, and at approvals that expired unsigned."""
    lanes: Annotated[int, Field(ge=1, le=64)] = 8
    """Transactions of one account that are under way side by side, where it has that many keys."""


class SwapConfig(Section):
    """Percentages as text: `"0.5"`, at most four digits after the point."""

    slippage_percent: Percent = "0.5"
    """How much less than quoted a swap may give, where the requester does not say."""
    max_slippage_percent: Percent = "5"
    max_price_impact_percent: Percent = "10"
    """Also of the pools' fees."""

    @model_validator(mode="after")
    def _within_the_limit(self) -> "SwapConfig":
        if self.settings.slippage_ppm > self.settings.max_slippage_ppm:
            raise ValueError("slippage_percent is above max_slippage_percent")
        return self

    @property
    def settings(self) -> SwapSettings:
        return SwapSettings(
            slippage_ppm=parse_percent(self.slippage_percent),
            max_slippage_ppm=parse_percent(self.max_slippage_percent),
            max_price_impact_ppm=parse_percent(self.max_price_impact_percent),
        )


class KeysConfig(Section):
    """Read by the signer alone."""

    credentials_dir: Folder | None = None
    passphrase_file: Folder | None = None
    """A file whose text opens the sealed keys when the signer starts."""
    start_signer: bool = True
    """False: a signer runs alone (`near-agent signer`), and none is started where it is missing."""


class PolicyConfig(Section):
    file: Folder | None = None
    """Absent: DATA_DIR/policy.toml where it exists."""


class ModelConfig(Section):
    """An OpenAI-compatible endpoint."""

    base_url: Address
    model: Annotated[str, Field(min_length=1, max_length=256)]
    api_key_env: VariableName | None = None
    timeout_s: Seconds = 60.0
    _api_key: SecretStr | None = PrivateAttr(default=None)

    def model_post_init(self, context: Mapping[str, str] | None, /) -> None:
        """Pick the key up from the environment that was passed in as the validation's context."""
        if self.api_key_env is not None and context and context.get(self.api_key_env):
            self._api_key = SecretStr(context[self.api_key_env])

    @property
    def api_key(self) -> SecretStr | None:
        """The value of the variable that `api_key_env` names; None where none is named or it is not set."""
        return self._api_key


class ModelsConfig(Section):
    standard: ModelConfig | None = None
    specialist: ModelConfig | None = None


class Config(Section):
    """Everything that can be configured, with defaults that run the embedded chain."""

    network: Network = "localnet"
    allow_mainnet: bool = False
    account_id: AccountId | None = None
    """The account that the first API key acts for."""
    daemon: DaemonConfig = DaemonConfig()
    limits: Limits = Limits()
    localnet: LocalnetConfig = LocalnetConfig()
    networks: NetworksConfig = NetworksConfig()
    rpc: RpcConfig = RpcConfig()
    simulation: SimulationConfig = SimulationConfig()
    swap: SwapConfig = SwapConfig()
    keys: KeysConfig = KeysConfig()
    policy: PolicyConfig = PolicyConfig()
    models: ModelsConfig = ModelsConfig()
    training: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """Parsed by training alone."""
    _home: Path = PrivateAttr(default_factory=Path.home)

    def model_post_init(self, context: Mapping[str, str] | None, /) -> None:
        self._home = _home(context)

    @model_validator(mode="after")
    def _mainnet_on_purpose(self) -> "Config":
        if self.network == "mainnet" and not self.allow_mainnet:
            raise ValueError('network = "mainnet" moves real money: set allow_mainnet = true as well')
        return self

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """Addresses of the chosen network; empty means the embedded chain, or on another network that none is left."""
        return tuple(node.url for node in self.chosen_network.rpc)

    @property
    def rpc_endpoints(self) -> tuple[Endpoint, ...]:
        """The same, with their operators and keys."""
        return tuple(node.endpoint for node in self.chosen_network.rpc)

    @property
    def chosen_network(self) -> NetworkConfig:
        match self.network:
            case "localnet":
                return self.networks.localnet
            case "testnet":
                return self.networks.testnet
            case "mainnet":
                return self.networks.mainnet

    @property
    def embedded(self) -> bool:
        """Whether the daemon runs its own chain."""
        return self.network == "localnet" and not self.rpc_urls

    @property
    def data_dir(self) -> Path:
        return self.daemon.data_dir

    @property
    def database_path(self) -> Path:
        return self.data_dir / DATABASE_NAME

    @property
    def first_account(self) -> AccountId | None:
        """Account of the first API key; None: the one credential there is, else the person has to choose."""
        return self.account_id or (EMBEDDED_ACCOUNT if self.embedded else None)

    @property
    def credentials_dir(self) -> Path:
        """The near-cli folder of the signer; on localnet the embedded chain's own where it exists at this moment."""
        if self.keys.credentials_dir is not None:
            return self.keys.credentials_dir
        embedded = self.data_dir / "localnet" / "credentials"
        if self.network == "localnet" and (self.embedded or embedded.is_dir()):
            return embedded
        return self._home / ".near-credentials"


def load_config(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, JsonValue | Path] | None = None
) -> Config:
    """The configuration of file, environment and command line, the later over the earlier.

    `path` is `--config`; without it `NEAR_AGENT_CONFIG`, then `./agent.toml` where it exists. `overrides` maps dotted keys
    (`daemon.data_dir`) to values; None means not given. ConfigError: `config_missing` for a named file that is not there,
    `config_invalid` for everything wrong in one go, one line each in `details["problems"]`.
    """
    chosen = _chosen_file(path, environ)
    values: JsonObject = {} if chosen is None else _read_toml(chosen)
    file_name = "defaults" if chosen is None else str(chosen)
    origins: dict[str, str] = {}
    problems: list[str] = []
    for variable, text in sorted(environ.items()):
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            problems += _set_from_environment(values, origins, variable, text)
    for key, value in (overrides or {}).items():
        if value is not None:
            problems += _set(values, origins, key, str(value) if isinstance(value, Path) else value, "the command line")
    try:
        config = Config.model_validate(values, context=environ)
    except ValidationError as error:
        problems += [_explain(detail, origins, file_name) for detail in error.errors(include_url=False)]
    else:
        if not problems:
            return config
    raise ConfigError(
        "config_invalid",
        "the configuration cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems),
        details={"file": file_name, "problems": cast("list[JsonValue]", problems)},
    ) from None


def known_keys() -> tuple[str, ...]:
    """Every key in dotted form, `training` (whose keys are training's) apart."""
    return (*(key for key, _ in _keys(Config, "")), "training")


def _keys(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool]]:
    """Dotted keys below a section, and whether the value is a list."""
    for name, field in section.model_fields.items():
        inner = _section_of(field.annotation)
        if inner is not None:
            yield from _keys(inner, f"{prefix}{name}.")
        elif name != "training":
            yield f"{prefix}{name}", "tuple" in str(field.annotation)


def _section_of(annotation: object) -> type[Section] | None:
    """The section class that a field holds, looking through `| None`, not into lists."""
    if get_origin(annotation) is tuple:
        return None
    for choice in (annotation, *cast("tuple[object, ...]", getattr(annotation, "__args__", ()))):
        if isinstance(choice, type) and issubclass(choice, Section):
            return choice
    return None


def _chosen_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if named is None:
        default = Path(DEFAULT_FILE)
        return default if default.is_file() else None
    if not named.is_file():
        by = "--config" if path else CONFIG_VARIABLE
        raise ConfigError(
            "config_missing",
            f"configuration file {named} ({by}) does not exist; name another one, or none for the defaults",
            details={"file": str(named)},
        )
    return named


def _read_toml(path: Path) -> JsonObject:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(
            "config_invalid",
            f"{path} cannot be read as TOML: {error}",
            details={"file": str(path), "problems": [str(error)]},
        ) from error


def _variable_of(key: str) -> str:
    return PREFIX + key.replace(".", "__").upper()


def _set_from_environment(values: JsonObject, origins: dict[str, str], variable: str, text: str) -> list[str]:
    key = variable.removeprefix(PREFIX).lower().replace("__", ".")
    keys = dict(_keys(Config, ""))
    if key.startswith("training.") and key != "training.":
        return _set(values, origins, key, text, variable)
    if key not in keys or variable != _variable_of(key):
        return [f"{variable} is not a known variable{_nearest(variable, map(_variable_of, keys))}"]
    if not keys[key]:
        return _set(values, origins, key, text, variable)
    try:
        parsed: JsonValue = json.loads(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, list):
        return [f'{variable} is not a JSON list; write ["https://..."]']
    return _set(values, origins, key, parsed, variable)


def _set(values: JsonObject, origins: dict[str, str], key: str, value: JsonValue, origin: str) -> list[str]:
    *sections, last = key.split(".")
    inside = values
    for name in sections:
        found = inside.setdefault(name, {})
        if not isinstance(found, dict):
            return [f"{name} is not a section, so {key} ({origin}) has no place"]
        inside = found
    inside[last] = value
    origins[key] = origin
    return []


def _explain(detail: ErrorDetails, origins: Mapping[str, str], file_name: str) -> str:
    """One line: where it was set, which key, what is wrong; values are shown only where they cannot be secrets."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    origin = next((name for known, name in origins.items() if key == known or key.startswith(known + ".")), file_name)
    if detail["type"] == "extra_forbidden":
        sections = {known.rpartition(".")[0] for known in known_keys()} - {""}
        return f"{origin}: {key} is not a known key{_nearest(key, [*known_keys(), *sections])}"
    message = detail["msg"].removeprefix("Value error, ")
    if not key:
        return f"{origin}: {message}"
    shown = detail["input"]
    # A key's place, or an address that can hold one.
    harmless = isinstance(shown, int | float) or (isinstance(shown, str) and location[-1] not in _MAY_BE_SECRET)
    got = f" (got {str(shown)[:80]!r})" if harmless and detail["type"] != "missing" else ""
    return f"{origin}: {key}: {message}{got}"


def _nearest(word: str, known: "Iterator[str] | list[str] | map[str]") -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; nearest: {close[0]}" if close else ""
