"""`keys`: what the signer holds, in near-cli's form or sealed. No private key is ever printed.

A secret is read from a terminal that does not show it, from standard input or from a file, never from an argument or a
variable, and goes to the signer alone.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from agent.commands.exits import USAGE, CommandError, print_json, say, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, read_config
from agent.data_folder import running_daemon

if TYPE_CHECKING:
    from agent.config import Config
    from contracts.chain.rpc_types import AccessView
    from contracts.signing.signer_client import SignerClient
    from contracts.signing.wire import HeldKeys, KeptKey
    from contracts.types import AccountId

T = TypeVar("T")

keys_app = typer.Typer(no_args_is_help=True, help="The signer's keys: list, import, generate, unlock, rotate.")

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id, e.g. you.testnet")]
EncryptOption = Annotated[bool, typer.Option("--encrypt", help="Keep it under a passphrase (argon2id, secretbox)")]
PassphraseOption = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Read the passphrase from a file, e.g. /dev/fd/3")
]

_FAUCET: Final = (
    "A testnet account is made and funded by a faucet that takes this public key, for example near-cli-rs "
    "(near account create-account sponsor-by-faucet-service) or a POST to https://helper.nearprotocol.com/account."
)
_ADD_KEY: Final = "Add this public key to the account with a wallet or near-cli before it can sign."
_USED_KEY: Final = (
    "If it has signed before and the account is in use here already, say so: near-agent keys acknowledge."
)
_CHECK_KEY: Final = "near-agent doctor says whether the account knows this key."
_MAX_SECRET_FILE: Final = 65_536


@keys_app.command("list")
def list_keys(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show the accounts and public keys that the signer holds.

    With what each may sign, as the chain says, where a node can be asked.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        held, may = with_signer(settings, lambda signer: _listed(settings, signer))
        if as_json:
            listed = held.model_dump(mode="json", include={"network", "credentials_dir", "accounts", "locked"})
            problems = [{"path": item.path, "reason": item.reason} for item in held.problems]
            print_json({**listed, "permissions": may, "problems": problems})
            return
        for account, public_keys in held.accounts.items():
            say(f"{account}  {'  '.join(public_keys)}")
            for public_key in public_keys:
                if public_key in may:
                    say(f"  {public_key if len(public_keys) > 1 else 'it'} {may[public_key]}")
        for account, public_keys in held.locked.items():
            say(f"{account}  {'  '.join(public_keys)}  (sealed; open it with: near-agent keys unlock)")
        if not held.accounts and not held.locked:
            folder = settings.credentials_dir
            say(f"no key for {settings.network} in {folder}; make one with: near-agent keys generate ACCOUNT")
        for problem in held.problems:
            say(f"unusable: {problem.path}: {problem.reason}", file=sys.stderr)


@keys_app.command("generate")
def generate(
    account: AccountArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    encrypt: EncryptOption = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Make a new key for an account.

    Its file (0600) is never written over an existing one.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        account_id = _account(account)
        passphrase = _passphrase(passphrase_file, twice=True) if encrypt or passphrase_file else None
        kept = with_signer(settings, lambda signer: signer.generate(account_id, passphrase=passphrase))
        _report(kept, account_id, _FAUCET if settings.network == "testnet" else _ADD_KEY, as_json)


@keys_app.command("import")
def import_key(
    account: AccountArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    file: Annotated[
        Path | None, typer.Option("--file", help="Read the key from a file: its text, or near-cli's")
    ] = None,
    encrypt: EncryptOption = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Hand a secret key to the signer.

    One line, ed25519:... or secp256k1:..., from standard input or a file; it is not shown.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        account_id = _account(account)
        secret = _secret(file)
        passphrase = _passphrase(passphrase_file, twice=True) if encrypt or passphrase_file else None
        kept = with_signer(settings, lambda signer: signer.import_secret(account_id, secret, passphrase=passphrase))
        known = _store_baseline(settings, account_id, kept.public_key) if passphrase is None else False
        _report(kept, account_id, _CHECK_KEY if known else f"{_CHECK_KEY} {_USED_KEY}", as_json)


def _store_baseline(settings: "Config", account: str, public_key: str) -> bool:
    """Have the daemon that runs store the key's nonce, from which on every use must be its own; False where it cannot."""
    address = running_daemon(settings.data_dir)
    if address is None:
        return False
    from agent.commands.client import DaemonSession

    try:
        DaemonSession(settings.data_dir, address).acknowledge_key(account, public_key)
    except CommandError:
        return False
    return True


@keys_app.command("unlock")
def unlock(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Open sealed keys in the signer that runs.

    They stay open until it ends.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        passphrase = _passphrase(passphrase_file, twice=False)
        opened = with_signer(settings, lambda signer: signer.unlock(passphrase), running=True)
        if as_json:
            print_json({"opened": opened})
            return
        for account, public_keys in opened.items():
            say(f"{account}  {'  '.join(public_keys)}  open")
        if not opened:
            say("no sealed key was waiting for a passphrase")


@keys_app.command("rotate")
def rotate(
    account: AccountArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    key: Annotated[str | None, typer.Option("--key", help="The public key to replace, where there are several")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Replace an account's key by a new one.

    The new key is added and proven by a final transaction before the old one is deleted; run it again to go on.
    """
    with told(as_json=as_json):
        from agent.commands.asking import finish
        from agent.commands.sessions import open_session

        account_id = _account(account)
        if not yes and not _agreed(f"Add a new full-access key to {account_id} and delete the old one?"):
            raise CommandError("nothing was done; --yes does not ask", USAGE, "declined")
        with open_session(config, data_dir) as session:
            answer = session.rotate_key(account_id, key)
        finish(answer, as_json=as_json)


def _agreed(question: str) -> bool:
    """A yes typed at the terminal; False where nobody can answer."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False


def with_signer(settings: "Config", work: "Callable[[SignerClient], Awaitable[T]]", *, running: bool = False) -> T:
    """Work with the signer of the data folder: a daemon's, or one for as long as this takes; `running`: the former only."""
    from dataclasses import replace

    from agent.signing import signer_spec
    from contracts.signing.signer_client import open_signer

    spec = signer_spec(settings)

    async def run() -> T:
        async with open_signer(replace(spec, start=False) if running else replace(spec, start=True)) as signer:
            return await work(signer)

    with domain_errors():
        import asyncio

        return asyncio.run(run())


async def _listed(settings: "Config", signer: "SignerClient") -> "tuple[HeldKeys, dict[str, str]]":
    held = await signer.held()
    return held, await _permissions(settings, held)


async def _permissions(settings: "Config", held: "HeldKeys") -> dict[str, str]:
    """What each key may sign, by public key; left out where no node answers."""
    from contracts.chain.rpc import RpcConfig, open_rpc
    from contracts.errors import RpcError

    address = running_daemon(settings.data_dir)
    urls = (address.rpc_url,) if address is not None else settings.rpc_urls
    if not urls:
        return {}
    may: dict[str, str] = {}
    async with open_rpc(urls, config=RpcConfig(request_timeout_s=5.0, read_timeout_s=8.0, attempts=2)) as rpc:
        for account_id, public_keys in held.accounts.items():
            for public_key in public_keys:
                try:
                    may[public_key] = may_sign((await rpc.access_key(account_id, public_key)).permission)
                except RpcError as error:
                    if error.code == "TRANSPORT":
                        return may
                    known = {"UNKNOWN_ACCESS_KEY": "is no key of the account", "UNKNOWN_ACCOUNT": "has no account yet"}
                    may[public_key] = known.get(error.code, f"cannot be looked up: {error.code}")
    return may


def may_sign(permission: "AccessView") -> str:
    """What a key with this permission may sign, in words. An allowance pays gas and limits no spending."""
    from contracts.calls import FullAccess, FunctionCallAccess
    from contracts.chain.rpc_types import GasKeyAccess

    match permission:
        case FullAccess() | GasKeyAccess(function_call=None):
            return "may sign every action"
        case FunctionCallAccess() as access:
            return _may_call(access.receiver_id, access.method_names, access.allowance)
        case GasKeyAccess(function_call=FunctionCallAccess() as access):
            return _may_call(access.receiver_id, access.method_names, None)
        case _:
            return "has a permission that this version does not know"


def _may_call(receiver_id: str, method_names: tuple[str, ...], allowance: int | None) -> str:
    from contracts.knowledge.inert import inert
    from contracts.types import format_near

    methods = ", ".join(inert(name, 60) for name in method_names[:10]) or "any method"
    gas = "gas without a bound" if allowance is None else f"{format_near(allowance)} NEAR left for gas"
    return (
        f"may call {methods} of {receiver_id} without a deposit ({gas}; that bounds gas, not what the calls move); "
        "no transfers, no tokens, no keys"
    )


def _secret(file: Path | None) -> str:
    if file is not None:
        with file.open("rb") as opened:
            raw = opened.read(_MAX_SECRET_FILE).decode(errors="replace")
        return _from_key_file(raw)
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("secret key (not shown): ").strip()
    return sys.stdin.readline().strip()


def _from_key_file(text: str) -> str:
    """The secret of a near-cli file, or the text as it is."""
    import json

    try:
        match json.loads(text):
            case {"private_key": str(secret)} | {"secret_key": str(secret)}:
                return secret
            case _:
                return ""
    except ValueError:
        return text.strip()


def _passphrase(file: Path | None, *, twice: bool) -> str:
    if file is not None:
        with file.open("rb") as opened:
            return opened.read(_MAX_SECRET_FILE).decode(errors="replace").strip()
    if not sys.stdin.isatty():
        raise CommandError(
            "give the passphrase with --passphrase-file, or run this in a terminal", USAGE, "no_passphrase"
        )
    import getpass

    first = getpass.getpass("passphrase (not shown): ")
    if twice and getpass.getpass("again: ") != first:
        raise CommandError("the two passphrases differ; nothing was written", USAGE, "passphrases_differ")
    return first


def _account(text: str) -> "AccountId":
    from contracts.types import AccountId

    try:
        return AccountId(text)
    except ValueError as error:
        raise CommandError(str(error), USAGE, "account_malformed") from None


def _report(kept: "KeptKey", account_id: str, hint: str, as_json: bool) -> None:
    if as_json:
        print_json({"account_id": account_id, "public_key": kept.public_key, "path": kept.path, "hint": hint})
        return
    say(f"{account_id}  {kept.public_key}\nwritten to {kept.path}\n{hint}")
