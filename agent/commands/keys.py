"""`keys`: the signer's key files, in near-cli's form. No private key is ever printed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agent.commands.exits import USAGE, CommandError, print_json, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, read_config

if TYPE_CHECKING:
    from agent.config import Config
    from contracts.types import AccountId, PublicKey

keys_app = typer.Typer(no_args_is_help=True, help="The signer's keys: list, import, generate.")

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id, e.g. you.testnet")]

_FAUCET: Final = (
    "A testnet account is made and funded by a faucet that takes this public key, for example near-cli-rs "
    "(near account create-account sponsor-by-faucet-service) or a POST to https://helper.nearprotocol.com/account."
)
_ADD_KEY: Final = "Add this public key to the account with a wallet or near-cli before it can sign."
_CHECK_KEY: Final = "near-agent doctor says whether the account knows this key."


@keys_app.command("list")
def list_keys(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show the accounts and public keys that the signer finds."""
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        from contracts.signing.keystore import KeyStore

        store = KeyStore.load(settings.credentials_dir, settings.network)
        accounts = {account: list(store.public_keys(account)) for account in store.accounts()}
        if as_json:
            print_json(
                {
                    "network": settings.network,
                    "credentials_dir": str(settings.credentials_dir),
                    "accounts": accounts,
                    "problems": [{"path": str(item.path), "reason": item.reason} for item in store.problems],
                }
            )
            return
        for account, public_keys in accounts.items():
            print(f"{account}  {'  '.join(public_keys)}")
        if not accounts:
            print(
                f"no key for {settings.network} in {settings.credentials_dir}; make one with: near-agent keys generate ACCOUNT"
            )
        for problem in store.problems:
            print(f"unusable: {problem.path}: {problem.reason}", file=sys.stderr)


@keys_app.command("generate")
def generate(
    account: AccountArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Make a new key for an account.

    Its file (0600) is never written over an existing one.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        from contracts.signing.keystore import generate_key_file

        account_id = _account(account)
        path = _path(settings, account_id)
        public_key = _unless_there(path, lambda: generate_key_file(path, account_id))
        _report(path, account_id, public_key, _FAUCET if settings.network == "testnet" else _ADD_KEY, as_json)


@keys_app.command("import")
def import_key(
    account: AccountArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Write a secret key from stdin to a file.

    The key is one line, ed25519:..., and is not shown.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        from contracts.signing.keystore import import_key_file

        account_id = _account(account)
        path = _path(settings, account_id)
        secret = _secret()
        with domain_errors():
            public_key = _unless_there(path, lambda: import_key_file(path, account_id, secret))
        _report(path, account_id, public_key, _CHECK_KEY, as_json)


def _secret() -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("secret key (not shown): ").strip()
    return sys.stdin.readline().strip()


def _account(text: str) -> "AccountId":
    from contracts.types import AccountId

    try:
        return AccountId(text)
    except ValueError as error:
        raise CommandError(str(error), USAGE, "account_malformed") from None


def _path(settings: "Config", account_id: str) -> Path:
    folder = settings.credentials_dir
    return folder / f"{account_id}.json" if settings.embedded else folder / settings.network / f"{account_id}.json"


def _unless_there(path: Path, write: "Callable[[], PublicKey]") -> "PublicKey":
    try:
        return write()
    except FileExistsError:
        raise CommandError(
            f"{path} exists already and is never overwritten; move it away to replace the key", USAGE, "key_exists"
        ) from None


def _report(path: Path, account_id: str, public_key: str, hint: str, as_json: bool) -> None:
    if as_json:
        print_json({"account_id": account_id, "public_key": public_key, "path": str(path), "hint": hint})
        return
    print(f"{account_id}  {public_key}\nwritten to {path}\n{hint}")
