"""What answers requests, opened in order on a data folder: lock, signer, chain, RPC, store, models, pipeline."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from agent.approval import Codes, open_code_key
from agent.config import Config
from agent.data_folder import (
    API_KEY,
    lock_folder,
    read_key,
    write_key,
)
from agent.errors import ConfigError, DaemonError
from agent.frontends.operator import Operator
from agent.models.serving import Models, open_models
from agent.operations.cancelling import Canceller
from agent.operations.onboarding import Contracts, GrowingCatalogue, growing, read_contracts
from agent.operations.rotating import Rotator
from agent.pipeline import Pipeline, Settings
from agent.policy_loading import load_policy
from agent.preflighting import open_preflight
from agent.records import Identity, ModelName
from agent.signing import signer_spec
from agent.store.store import Store, open_store
from contracts.catalogue.index import CATALOGUE
from contracts.chain.agreed_reads import AgreedReads
from contracts.chain.client import ChainClient, no_kill
from contracts.chain.delivery import SendSettings
from contracts.chain.endpoints import Endpoint
from contracts.chain.ledger import OPEN, UNSETTLED
from contracts.chain.rpc import RpcClient, RpcConfig, open_rpc
from contracts.chain.verifying import Expected, Verifier
from contracts.errors import RpcError
from contracts.groups import one_error
from contracts.knowledge.registry import Registry
from contracts.localnet.server import open_localnet
from contracts.signing.signer_client import SignerClient, open_signer
from contracts.simulation.pool import PoolSettings
from contracts.simulation.preflight import PreflightService, PreflightSettings
from contracts.simulation.sandbox import SandboxSettings
from contracts.types import AccountId

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What answers requests, opened."""

    config: Config
    pipeline: Pipeline
    store: Store
    chain: ChainClient
    verifier: Verifier
    models: Models
    operator: Operator
    first: Identity
    """Holder of the key in the data folder's `api_key`."""
    rpc_url: str
    clock: Callable[[], float]

    def configured_models(self) -> tuple[ModelName, ...]:
        """Names that a request may ask for at this moment."""
        names: list[ModelName] = ["near-agent"]
        if self.models.standard() is not None:
            names.append("near-agent-standard")
        if self.models.specialist() is not None:
            names.append("near-agent-specialist")
        return tuple(names)


@asynccontextmanager
async def open_runtime(
    config: Config,
    *,
    localnet_listen: str | None = None,
    lock_wait_s: float = 0.0,
    kill_point: Callable[[str], None] = no_kill,
    clock: Callable[[], float] = time.time,
) -> AsyncGenerator[Runtime]:
    """Open all of it on the data folder, alone. FolderInUse, ConfigError, StoreError, ChainError, RpcError.

    `pipeline.recover()` is the caller's next step.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(one_error())
        stack.enter_context(lock_folder(config.data_dir, wait_s=lock_wait_s))
        added = read_contracts(config.data_dir, config.network)
        registry, tokens = growing(Registry.for_network(config.network), added)
        policy = load_policy(config.policy.file, config.data_dir, registry)
        # First, so that its process starts while the chain and the store are opened.
        signer = await stack.enter_async_context(open_signer(signer_spec(config)))
        rpc, verifier, rpc_url = await _open_rpc(stack, config, localnet_listen, clock)
        chain_id = await _chain_id(config, rpc, verifier)
        store = await _open_store(stack, config, clock)
        await _check_chain(config, store, chain_id)
        settings = _send_settings(config)
        chain = ChainClient(rpc, store.ledger, signer, clock=clock, settings=settings, kill_point=kill_point)
        models = await stack.enter_async_context(open_models(config.models, config.data_dir, monotonic=time.monotonic))
        preflight = await stack.enter_async_context(_open_preflight(config, registry, rpc, signer, clock))
        agreed, catalogue = AgreedReads(rpc, needed=settings.operators), GrowingCatalogue(CATALOGUE)
        contracts = Contracts(added, catalogue, tokens, registry, agreed, data_dir=config.data_dir, clock=clock)
        pipeline = Pipeline(
            settings=_pipeline_settings(config, chain_id),
            store=store,
            chain=chain,
            reads=rpc,
            agreed=None if agreed.alone else agreed,
            registry=registry,
            models=models,
            keys=signer,
            codes=Codes(open_code_key(config.data_dir)),
            policy=policy,
            preflight=preflight,
            catalogue=catalogue,
            clock=clock,
            kill_point=kill_point,
        )
        first = await _first_identity(config, store, signer)
        await _tell_of_doubt(chain, store, signer, chain_id)
        yield Runtime(
            config=config,
            pipeline=pipeline,
            store=store,
            chain=chain,
            models=models,
            operator=_operator(config, pipeline, store, chain, signer, contracts, first, chain_id, clock, kill_point),
            first=first,
            verifier=verifier,
            rpc_url=rpc_url,
            clock=clock,
        )


async def _open_rpc(
    stack: AsyncExitStack, config: Config, localnet_listen: str | None, clock: Callable[[], float]
) -> tuple[RpcClient, Verifier, str]:
    """The client, what looks at its nodes, and the first node's address as it is shown."""
    nodes = await _open_nodes(stack, config, localnet_listen)
    rpc = await stack.enter_async_context(open_rpc(nodes, config=_rpc_config(config)))
    verifier = Verifier(rpc, Expected(config.network, config.rpc.max_clock_skew_s), clock=clock)
    # Without what may hold a provider's key: it goes into a file and into the log.
    return rpc, verifier, nodes[0].url if config.network == "localnet" else nodes[0].shown


async def _open_store(stack: AsyncExitStack, config: Config, clock: Callable[[], float]) -> Store:
    quota = config.limits.record_bytes_per_hour
    return await stack.enter_async_context(open_store(config.database_path, clock=clock, record_bytes_per_hour=quota))


async def _open_nodes(stack: AsyncExitStack, config: Config, localnet_listen: str | None) -> tuple[Endpoint, ...]:
    """The configured nodes, or the embedded chain, opened."""
    if not config.embedded:
        return config.rpc_endpoints
    localnet = await stack.enter_async_context(
        open_localnet(
            config.data_dir,
            localnet_listen or config.localnet.listen,
            finality_lag_blocks=config.localnet.finality_lag_blocks,
            heartbeat_s=config.localnet.heartbeat_s,
            epoch_length_blocks=config.localnet.epoch_length_blocks,
        )
    )
    return (Endpoint.of(localnet.rpc_url),)


def _open_preflight(
    config: Config, registry: Registry, rpc: RpcClient, signer: SignerClient, clock: Callable[[], float]
) -> AbstractAsyncContextManager[PreflightService]:
    simulation = config.simulation
    return open_preflight(
        config.data_dir,
        registry,
        rpc,
        signer,
        clock,
        settings=PreflightSettings(reads_per_key=simulation.reads_per_identity),
        pool=PoolSettings(simulation.processes, simulation.queue_s, simulation.waiting_per_identity),
        sandbox=SandboxSettings(host_work_s=simulation.host_work_s),
    )


def _operator(
    config: Config,
    pipeline: Pipeline,
    store: Store,
    chain: ChainClient,
    signer: SignerClient,
    contracts: Contracts,
    first: Identity,
    chain_id: str,
    clock: Callable[[], float],
    kill_point: Callable[[str], None],
) -> Operator:
    """What the person at the daemon's machine may do."""
    registry = Registry.for_network(config.network)
    grant_ttl_s = _pipeline_settings(config, chain_id).step_timeout_s
    canceller = Canceller(
        pipeline.recorded, store.ledger, chain, registry, chain_id=chain_id, clock=clock, grant_ttl_s=grant_ttl_s
    )
    rotator = Rotator(
        pipeline.recorded,
        store.ledger,
        chain,
        signer,
        registry,
        data_dir=config.data_dir,
        chain_id=chain_id,
        clock=clock,
        grant_ttl_s=grant_ttl_s,
        drain_s=config.rpc.confirm_timeout_s,
        kill_point=kill_point,
    )
    return Operator(
        pipeline,
        store.cards,
        store.api_keys,
        first,
        clock,
        lanes=canceller,
        rotation=rotator,
        contracts=contracts,
        vocabulary=pipeline.vocabulary,
    )


async def _first_identity(config: Config, store: Store, signer: SignerClient) -> Identity:
    """Whom the key in `api_key` stands for; the key is made where the file holds none that is in force."""
    kept = read_key(config.data_dir, API_KEY)
    identity = await store.api_keys.authenticate(kept) if kept else None
    if identity is None:
        account_id = _first_account(config, tuple(sorted((await signer.held()).accounts)))
        _, plaintext = await store.api_keys.create(account_id, config.network == "localnet")
        write_key(config.data_dir, API_KEY, plaintext)
        identity = await store.api_keys.authenticate(plaintext)
    if identity is None:
        raise DaemonError("key_lost", f"the key just written to {config.data_dir / API_KEY} is not known; start again")
    return identity


def _first_account(config: Config, accounts: tuple[AccountId, ...]) -> AccountId:
    """The configured account, else the only one that has a key. ConfigError `config_invalid` names what to set."""
    if config.first_account is not None:
        return config.first_account
    if len(accounts) == 1:
        return accounts[0]
    names = ", ".join(accounts[:5]) + (" ..." if len(accounts) > 5 else "")
    found = f"{names} have a key in {config.credentials_dir}" if accounts else "no account has a key"
    raise ConfigError(
        "config_invalid",
        f"{found} for {config.network}; set account_id (or NEAR_AGENT_ACCOUNT_ID) to the one the first API key acts for"
        + ("" if accounts else ", and make its key with: near-agent keys generate ACCOUNT"),
    )


async def _chain_id(config: Config, rpc: RpcClient, verifier: Verifier) -> str:
    """The chain's own name. ConfigError where every node that answers is wrong: another network, genesis block or clock."""
    try:
        found = await verifier.start()
    except RpcError as error:
        if error.code != "WRONG_NODES":
            raise
        raise ConfigError(
            "config_invalid",
            f"no RPC node can be used: {error.message}; correct [networks.{config.network}] rpc, network, or this clock",
        ) from error
    operators, needed = len(rpc.operators()), config.chosen_network.proof_operators
    if operators < needed:
        log.warning(
            "rpc_operators_too_few",
            operators=operators,
            needed=needed,
            todo=f"add an address of another operator to [networks.{config.network}] rpc: "
            "until then one operator's word counts, and no transaction can be proven dead",
        )
    return found.chain_id or config.network


async def _check_chain(config: Config, store: Store, chain_id: str) -> None:
    """ConfigError where a transaction of another chain has no end yet: these nodes know nothing of it, which proves nothing."""
    others = sorted({one.chain_id for one in await store.ledger.in_states(OPEN)} - {chain_id})
    if others:
        raise ConfigError(
            "config_invalid",
            f"the ledger in {config.data_dir} has transactions without an end on {', '.join(others)}, and the nodes serve "
            f"{chain_id}; give each network a data folder of its own (--data-dir)",
        )


async def _tell_of_doubt(chain: ChainClient, store: Store, signer: SignerClient, chain_id: str) -> None:
    """At the start: keys that something else has used are blocked, and the log says so; also what a restore left open."""
    for intent in await store.ledger.in_states(UNSETTLED):
        if intent.review is not None:
            log.warning(
                "transaction_for_review",
                tx_hash=intent.signed and intent.signed.tx_hash,
                request_id=intent.request_id,
                why=intent.review,
                todo="it is looked up and never sent again by itself; near-agent doctor, near-agent cancel-tx",
            )
    held = await signer.held()
    # Also of sealed keys: one that is unlocked later has a baseline from before.
    keys = {
        account_id: (*held.accounts.get(account_id, ()), *held.locked.get(account_id, ()))
        for account_id in {*held.accounts, *held.locked}
    }
    for lane, record in await chain.check_lanes(chain_id, keys):
        foreign = record.foreign
        log.warning(
            "key_blocked",
            account_id=lane.signer_id,
            public_key=lane.name,
            known_nonce=foreign and foreign.known_nonce,
            chain_nonce=foreign and foreign.chain_nonce,
            todo=f"near-agent keys acknowledge {lane.signer_id} {lane.public_key}",
        )


def _rpc_config(config: Config) -> RpcConfig:
    rpc = config.rpc
    return RpcConfig(
        connect_timeout_s=rpc.connect_timeout_s,
        request_timeout_s=rpc.request_timeout_s,
        max_body_bytes=rpc.max_body_bytes,
        contract_answer_bytes=config.limits.contract_answer_bytes,
        attempts=rpc.attempts,
        read_timeout_s=rpc.read_timeout_s,
        max_lag_blocks=rpc.max_lag_blocks,
        hedge_floor_s=rpc.hedge_ms / 1000,
    )


def _send_settings(config: Config) -> SendSettings:
    rpc = config.rpc
    return SendSettings(
        operators=config.chosen_network.proof_operators,
        confirm_timeout_s=rpc.confirm_timeout_s,
        settle_timeout_s=rpc.settle_timeout_s,
        poll_s=rpc.poll_s,
        resend_s=rpc.resend_s,
        lanes=rpc.lanes,
    )


def _pipeline_settings(config: Config, chain_id: str) -> Settings:
    return Settings(
        network=config.network,
        chain_id=chain_id,
        request_timeout_s=config.daemon.request_timeout_s,
        # Longer than the chain client's own wait and its last look-up.
        step_timeout_s=config.rpc.confirm_timeout_s + 2 * config.rpc.request_timeout_s,
        approval_ttl_s=config.daemon.approval_ttl_s,
        duplicate_window_s=config.daemon.duplicate_window_s,
        swap=config.swap.settings,
    )
