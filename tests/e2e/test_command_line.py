import os
import subprocess
from pathlib import Path

from tests.e2e.programs import CLI, daemon, environment, near_agent, near_agent_here, records


def test_yes_on_a_fresh_folder_registers_and_moves_exact_units(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    done = near_agent(folder, "ask", "/ft_transfer token=USDC receiver_id=carol.localnet amount=12.5", "--yes")
    assert done.returncode == 0, done
    assert "registers carol.localnet" in done.stdout
    assert done.stderr == ""
    refused = near_agent(folder, "ask", "/ft_transfer token=USDC receiver_id=carol.localnet amount=12.5000001", "--yes")
    assert refused.returncode == 2
    assert "6" in refused.stdout
    with daemon(folder) as running:
        units = running.say("/ft_balance USDC carol.localnet").facts["outcomes"][0]["value"]
        registered = running.say("/storage_balance usdc.localnet carol.localnet").facts["outcomes"][0]["value"]
        assert running.terminate() == 0
    assert units == "12500000"
    assert registered["total"] == "1250000000000000000000"


def test_commands_speak_to_the_running_daemon(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with daemon(folder) as running:
        card = near_agent_here(folder, "ask", "/near_transfer bob.localnet 1", "--json")
        assert card.exit_code == 3
        listed = near_agent_here(folder, "approve", "--list")
        [waiting] = [record for record in records(folder) if record.status == "needs_approval"]
        request_id = waiting.request.request_id
        assert waiting.request.front_end == "chat_completions"
        assert request_id in listed.stdout
        assert near_agent_here(folder, "approve", request_id).exit_code == 0
        moved = near_agent_here(folder, "ask", "/near_transfer bob.localnet 2", "--yes")
        assert moved.exit_code == 0, moved
        assert running.chain_balance_yocto("bob.localnet") == 10_003 * 10**24
        assert near_agent_here(folder, "ask", "/nothing").exit_code == 2
        made = near_agent_here(folder, "api-keys", "create").stdout.strip()
        assert near_agent_here(folder, "api-keys", "list").stdout.count("alice.localnet") == 2
        healthy = near_agent_here(folder, "doctor")
        assert healthy.exit_code == 0, healthy
        assert {line.split()[0] for line in healthy.stdout.splitlines()} == {"ok", "skip"}
        assert "alice.localnet knows the key" in healthy.stdout
        second = near_agent_here(folder, "run")
        assert second.exit_code == 2
        assert str(running.process.pid) in second.stderr
        assert running.url in second.stderr
        assert "Traceback" not in second.stderr
        assert made not in healthy.stdout
        running.process.kill()
        running.process.wait()
        # What the dead one left behind is not believed.
        assert (folder / "daemon.json").exists()
        assert near_agent_here(folder, "ask", "/near_balance bob.localnet").exit_code == 0


def test_the_chain_alone_serves_a_daemon_elsewhere(tmp_path: Path) -> None:
    chain_folder = tmp_path / "chain"
    with subprocess.Popen(
        [*CLI, "localnet"],
        env=environment(chain_folder),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as chain:
        assert chain.stdout is not None
        url = chain.stdout.readline().removeprefix("ready ").strip()
        elsewhere = {
            "NEAR_AGENT_NETWORKS__LOCALNET__RPC": f'["{url}"]',
            "NEAR_AGENT_KEYS__CREDENTIALS_DIR": str(chain_folder / "localnet" / "credentials"),
            "NEAR_AGENT_ACCOUNT_ID": "bob.localnet",
        }
        folder = tmp_path / "data"
        done = near_agent_here(folder, "ask", "/near_transfer alice.localnet 1", "--yes", more=elsewhere)
        assert done.exit_code == 0, done
        assert "from bob.localnet to alice.localnet" in done.stdout
        assert not (folder / "localnet").exists()
        chain.terminate()
        assert chain.wait(20) == 0
    gone = near_agent_here(
        folder, "ask", "/near_balance bob.localnet", more={**elsewhere, "NEAR_AGENT_RPC__ATTEMPTS": "1"}
    )
    assert gone.exit_code == 6
    assert len(gone.stderr.splitlines()) <= 2


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    near_agent_here(folder, "ask", "/help")
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [*CLI, "log"], env=environment(folder), stdout=write_end, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write_end)
    assert "Traceback" not in done.stderr
