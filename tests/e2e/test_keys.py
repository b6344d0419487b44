"""The signer and its keys through the command line, on the embedded chain."""

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.e2e.programs import CLI, daemon, environment, near_agent, near_agent_here

PASSPHRASE = "correct horse battery staple"


def test_a_key_is_rotated_and_the_account_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with daemon(folder) as running:
        before = json.loads(near_agent_here(folder, "keys", "list", "--json").stdout)
        (old,) = before["accounts"]["alice.localnet"]
        assert before["permissions"][old] == "may sign every action"
        card = running.say("/near_transfer bob.localnet 1")
        rotated = near_agent_here(folder, "keys", "rotate", "alice.localnet", "--yes", "--json")
        assert rotated.exit_code == 0, rotated.output
        outcomes = json.loads(rotated.stdout)["outcomes"]
        assert [outcome["status"] for outcome in outcomes] == ["final"] * 3
        (new,) = json.loads(near_agent_here(folder, "keys", "list", "--json").stdout)["accounts"]["alice.localnet"]
        assert new != old
        # A card is signed by the keys that it was made with, so it is shown again for the new one.
        again = running.say(f"confirm {card.facts['confirm_code']}")
        assert "is no key of alice.localnet any more" in again.text
        assert running.say(f"confirm {again.facts['confirm_code']}").facts["status"] == "executed"
        shown = running.say("/access_keys @me").text
        assert new in shown
        assert old not in shown
        again = near_agent_here(folder, "keys", "rotate", "nobody.localnet", "--yes")
        assert again.exit_code == 2
        secrets = [json.loads(path.read_text())["private_key"] for path in folder.rglob("*ed25519_*") if path.is_file()]
        assert len(secrets) == 2
        assert not any(secret[8:] in rotated.output for secret in secrets)
        assert running.terminate() == 0


def test_a_signer_that_is_killed_is_back_and_a_sealed_key_waits_for_its_passphrase(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    phrase = tmp_path / "phrase"
    phrase.write_text(PASSPHRASE + "\n")
    with daemon(folder) as running:
        made = near_agent_here(folder, "keys", "generate", "dave.localnet", "--passphrase-file", str(phrase), "--json")
        assert made.exit_code == 0, made.output
        pid = int((folder / "signer" / "lock").read_text())
        os.kill(pid, signal.SIGKILL)
        assert running.say("/near_transfer bob.localnet 1").facts["status"] == "needs_approval"
        listed = near_agent_here(folder, "keys", "list")
        assert "sealed; open it with" in listed.stdout
        phrase.write_text("another passphrase")
        wrong = near_agent_here(folder, "keys", "unlock", "--passphrase-file", str(phrase))
        assert wrong.exit_code == 2
        phrase.write_text(PASSPHRASE)
        opened = near_agent_here(folder, "keys", "unlock", "--passphrase-file", str(phrase))
        assert "dave.localnet" in opened.stdout
        card = running.say("/near_transfer bob.localnet 1")
        assert running.say(f"confirm {card.facts['confirm_code']}").facts["status"] == "executed"
        assert running.terminate() == 0


def test_a_signer_of_its_own_is_used_and_outlives_the_daemon(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert near_agent(folder, "localnet", "init").returncode == 0
    command = [*CLI, "signer"]
    with subprocess.Popen(command, env=environment(folder), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as signer:
        assert signer.stdout is not None
        assert signer.stdout.readline() == "ready\n"
        with daemon(folder, more={"NEAR_AGENT_KEYS__START_SIGNER": "false"}) as running:
            card = running.say("/near_transfer bob.localnet 1")
            assert running.say(f"confirm {card.facts['confirm_code']}").facts["status"] == "executed"
            assert running.terminate() == 0
        assert signer.poll() is None
        assert near_agent(folder, "ask", "/near_transfer bob.localnet 1", "--yes").returncode == 0
        signer.send_signal(signal.SIGTERM)
        assert signer.wait(10) == 0
