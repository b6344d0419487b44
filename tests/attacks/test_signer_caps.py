"""Ways round the signer's caps and its socket, for a daemon that was taken over or another user of the machine."""

import json
import os
import socket
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from contracts.calls import (
    AddKey,
    CreateAccount,
    Delegate,
    DelegateAction,
    DeleteKey,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Transfer,
)
from contracts.errors import SigningError
from contracts.signing.caps import Caps, NearCap, default_caps
from contracts.signing.journal import Journal
from contracts.signing.keypair import SecretKey
from contracts.signing.room import listening, socket_address
from contracts.signing.signer_process import SignerServer
from contracts.signing.vault import Vault
from contracts.signing.wire import frame
from contracts.types import TGAS, AccountId, Gas, PublicKey, Yocto
from tests.contracts.signing.signing_world import ALICE, BOB, NEAR, bytes_of, change, grant_for, open_vault, transfer

MALLORY = AccountId("mallory.localnet")
KEY = PublicKey.from_bytes("ed25519", bytes(32))
CAPS = Caps(near=NearCap(per_transaction="1", per_day="2"))


@pytest.mark.parametrize(
    "inner",
    [
        Transfer(Yocto(2 * NEAR)),
        FunctionCall("take", b"{}", Gas(TGAS), Yocto(2 * NEAR)),
        FunctionCall("burn", b"{}", Gas(10**16), Yocto(NEAR)),
    ],
)
def test_relaying_does_not_carry_money_past_the_caps(tmp_path: Path, inner: Transfer | FunctionCall) -> None:
    """Mallory signs a delegate action herself, the account relays it and pays what is attached."""
    action = DelegateAction(MALLORY, MALLORY, (inner,), 1, 10**9, KEY)
    call = change(MALLORY, Delegate(action, bytes(64)))
    with open_vault(tmp_path, CAPS) as opened, pytest.raises(SigningError) as caught:
        opened.sign(bytes_of(opened.key, call), grant_for(call))
    assert caught.value.code == "over_cap"


def test_a_key_that_was_brought_is_not_added_as_ones_own(tmp_path: Path) -> None:
    """Imported into the signer first, then added to the account: whoever brought it owned everything."""
    with open_vault(tmp_path, CAPS) as opened:
        brought, _ = opened.vault.import_secret(ALICE, SecretKey.generate().unsafe_text(), "a passphrase")
        assert brought in opened.vault.public_keys(ALICE)
        call = change(ALICE, AddKey(brought, FullAccess()))
        with pytest.raises(SigningError) as caught:
            opened.sign(bytes_of(opened.key, call), grant_for(call))
    assert caught.value.code == "over_cap"


def test_a_key_that_was_made_here_needs_no_approver(tmp_path: Path) -> None:
    with open_vault(tmp_path, CAPS) as opened:
        made, _ = opened.vault.generate(ALICE, more=True)
        call = change(ALICE, AddKey(made, FullAccess()))
        assert opened.sign(bytes_of(opened.key, call), grant_for(call))


def test_a_key_for_function_calls_is_no_way_to_methods_that_need_approvers(tmp_path: Path) -> None:
    call = change(ALICE, AddKey(KEY, FunctionCallAccess(BOB, (), Yocto(1))))
    with open_vault(tmp_path, default_caps("mainnet")) as opened, pytest.raises(SigningError) as caught:
        opened.sign(bytes_of(opened.key, call), grant_for(call))
    assert caught.value.code == "over_cap"


def test_a_sealed_account_is_not_given_to_a_key_whose_secret_the_daemon_can_read(tmp_path: Path) -> None:
    """The signer made it itself, in a plain file or under the daemon's own passphrase: then it was added without approvers."""
    with open_vault(tmp_path, CAPS) as opened:
        vault = opened.vault
        early, plain = vault.generate(ALICE, more=True)
        owners, _ = vault.import_secret(ALICE, SecretKey.generate().unsafe_text(), "the owner's passphrase")
        chosen, _ = vault.generate(ALICE, "the daemon's passphrase")
        own, sealed = vault.generate(ALICE, more=True)
        assert (plain.suffix, sealed.suffix) == (".json", ".sealed")
        for added in (early, chosen, owners):
            call = change(ALICE, AddKey(added, FullAccess()))
            with pytest.raises(SigningError) as caught:
                opened.sign(bytes_of(owners, call), grant_for(call, name=f"add {added}"))
            assert caught.value.code == "over_cap"
        call = change(ALICE, AddKey(own, FullAccess()))
        assert opened.sign(bytes_of(owners, call), grant_for(call))


def test_a_new_account_gets_the_key_that_was_made_for_it_without_approvers(tmp_path: Path) -> None:
    child = AccountId(f"x.{ALICE}")
    with open_vault(tmp_path, CAPS) as opened:
        made = opened.vault.new_key(child)
        call = change(child, CreateAccount(), Transfer(Yocto(NEAR)), AddKey(made, FullAccess()))
        assert opened.sign(bytes_of(opened.key, call), grant_for(call))
        call = change(child, CreateAccount(), Transfer(Yocto(1)), AddKey(opened.key, FullAccess()))
        with pytest.raises(SigningError):
            opened.sign(bytes_of(opened.key, call), grant_for(call, name="another's key"))


def test_the_key_that_signs_is_not_deleted_without_approvers(tmp_path: Path) -> None:
    """An account whose last key is gone is lost with all that is in it."""
    with open_vault(tmp_path, CAPS) as opened:
        second, _ = opened.vault.generate(ALICE, more=True)
        call = change(ALICE, DeleteKey(opened.key))
        with pytest.raises(SigningError) as caught:
            opened.sign(bytes_of(opened.key, call), grant_for(call))
        assert caught.value.code == "over_cap"
        assert opened.sign(bytes_of(second, call), grant_for(call))


def test_a_disk_that_fills_up_inside_a_batch_takes_nothing_out_of_the_sums(tmp_path: Path) -> None:
    """SQLite ends the transaction then: what was signed next was on disk at once, and taken out of the day's sums."""
    with (
        open_vault(tmp_path) as opened,
        closing(sqlite3.connect(tmp_path / "signer" / "journal.sqlite", isolation_level=None)) as connection,
    ):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 4}").close()
        journal = Journal(connection)
        vault = Vault(opened.folders, journal, CAPS, clock=opened.clock)
        vault.reload()
        signed = 0
        for number in range(6):
            large, small = transfer(1), transfer(NEAR, MALLORY)
            data, grant = bytes_of(opened.key, small, nonce=number), grant_for(small, name=f"small {number}")
            with suppress(SigningError), journal.batch():
                with suppress(SigningError):
                    vault.sign(bytes_of(opened.key, large), grant_for(large, name=f"{number}" * 200_000))
                vault.sign(data, grant)
            with suppress(SigningError), journal.batch():
                vault.sign(data, grant)
                signed += 1
        assert signed == 2


class FullDisk(Journal):
    """A journal that cannot even begin to write."""

    @contextmanager
    def batch(self) -> Generator[None]:
        raise SigningError("journal_failed", "no space left on device", retryable=True)
        yield


@contextmanager
def serving(folder: Path, owner_uid: int, *, full: bool = False) -> Generator[None]:
    """A signer for a user with this number, in a thread."""
    life, death = os.pipe()
    ready = threading.Event()

    def serve() -> None:
        with (
            open_vault(folder) as opened,
            listening(opened.folders.own) as server,
            closing(sqlite3.connect(":memory:")) as spare,
        ):
            journal = FullDisk(spare) if full else opened.journal
            signer = SignerServer(opened.vault, journal, opened.folders, server, lifeline=life, owner_uid=owner_uid)
            ready.set()
            signer.run()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait(10.0)
    try:
        yield
    finally:
        os.close(death)
        thread.join()
        os.close(life)


@pytest.mark.parametrize(("stranger", "answered"), [(1, False), (0, True)])
def test_another_user_who_reaches_the_socket_is_cut_off(tmp_path: Path, stranger: int, *, answered: bool) -> None:
    with (
        serving(tmp_path, os.getuid() + stranger),
        socket.socket(socket.AF_UNIX) as client,
        socket_address(tmp_path / "signer") as address,
    ):
        client.connect(address)
        client.settimeout(60.0)
        try:
            client.sendall(frame({"id": 1, "op": "public_keys", "account_id": ALICE}))
            said = client.recv(65536)
        except ConnectionError:
            said = b""
        assert (said != b"") == answered
        if answered:
            assert json.loads(said[4:])["ok"]["public_keys"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "a/../b", "/root", "x\0.near", "a%2f..", ".hidden", "~root"]
)
def test_no_name_of_an_account_is_a_path(name: str) -> None:
    with pytest.raises(ValueError, match=r"account"):
        AccountId(name)


def test_a_journal_that_cannot_be_written_signs_nothing_and_ends_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, os.getuid(), full=True), socket.socket(socket.AF_UNIX) as client:
        with socket_address(tmp_path / "signer") as address:
            client.connect(address)
        client.settimeout(60.0)
        for number in (7, 8):
            client.sendall(frame({"id": number, "op": "public_keys", "account_id": ALICE}))
            said = json.loads(client.recv(65536)[4:])
            assert (said["id"], said["error"]["code"]) == (number, "journal_failed")
