"""What other users of the machine can do to the data folder, and what is left in it by typing."""

import json
import os
import stat
from pathlib import Path

import pytest

from agent.commands.editing import may_keep
from agent.data_folder import LOCK, DaemonAddress, lock_folder, running_daemon, write_address
from tests.attacks.test_canaries import CANARIES
from tests.e2e.programs import near_agent_here


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    """They could put a policy there that allows everything, or the key that codes are made with."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError, match="chmod go-w"), lock_folder(folder):
        pass
    assert list(folder.iterdir()) == []
    done = near_agent_here(folder, "ask", "/near_balance alice.localnet")
    assert (done.exit_code, "chmod go-w" in done.output) == (2, True)
    folder.chmod(0o755)
    with lock_folder(folder):
        pass


def test_a_secret_that_was_typed_into_the_chat_is_not_kept_in_its_history() -> None:
    typed = {canary.name: canary.said for canary in CANARIES}
    assert [name for name, said in typed.items() if may_keep(said)] == []
    assert not may_keep(" Confirm 7K2M9QXA")
    assert not may_keep("please confirm 7K2M9QXA now")
    assert not may_keep("`confirm\u00a07K2M9QXA`.")
    assert may_keep("/near_transfer bob.localnet 1.5")


@pytest.mark.parametrize("command", [("keys", "list"), ("doctor",)])
def test_what_a_command_answers_with_is_not_mixed_with_logs(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Logs that nobody set up went to standard output, as they are, and with the values of variables beside errors."""
    folder = tmp_path / "data"
    (folder / "signer").mkdir(parents=True)
    (folder / "signer" / "caps.toml").write_text("x = ")
    done = near_agent_here(folder, *command, "--json", more={"NEAR_AGENT_NETWORK": "localnet"})
    assert done.exit_code != 0
    assert [*json.loads(done.stdout)] in (["error"], ["checks"])
    assert "signer_lost" not in done.output


def test_no_key_is_sent_to_what_listens_where_a_killed_daemon_did(tmp_path: Path) -> None:
    """Its number in the lock and its address stay; another process has got the number, and a stranger's server the port."""
    with lock_folder(tmp_path):
        pass
    (tmp_path / LOCK).write_text(str(os.getpid()))
    address = DaemonAddress(pid=os.getpid(), url="http://127.0.0.1:9", rpc_url="", network="localnet")
    write_address(tmp_path, address)
    assert running_daemon(tmp_path) is None
    with lock_folder(tmp_path):
        assert running_daemon(tmp_path) == address


@pytest.mark.parametrize("first", [("keys", "generate", "x.localnet"), ("localnet", "init"), ("ask", "/help")])
def test_whatever_makes_the_folder_makes_it_for_its_owner_alone(tmp_path: Path, first: tuple[str, ...]) -> None:
    folder = tmp_path / "data"
    before = os.umask(0)
    try:
        done = near_agent_here(folder, *first)
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {str(path) for path in files if stat.S_IMODE(path.stat().st_mode) != 0o600} == set()
