import json
import re
import stat
import urllib.request
from pathlib import Path

from tests.e2e.programs import daemon, log_of, records
from tests.judges.openapi_judge import Judge

OPENAI = Judge("openai-spec-min.json")
NEAR = 10**24


def test_money_moves_once_with_plain_http_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with daemon(folder) as running:
        looked = running.say("/near_balance alice.localnet")
        assert looked.status == 200
        assert looked.facts["status"] == "answered"
        assert "10000 NEAR" in looked.text

        before = running.chain_balance_yocto("bob.localnet")
        card = running.say("/near_transfer bob.localnet 1.5")
        assert card.facts["status"] == "needs_approval"
        assert "1.5 NEAR" in card.text
        assert "bob.localnet" in card.text
        code = card.facts["confirm_code"]
        assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{8}", code)
        assert running.chain_balance_yocto("bob.localnet") == before

        done = running.say(f"confirm {code}")
        [outcome] = done.facts["outcomes"]
        assert done.facts["status"] == "executed"
        assert outcome["status"] == "final"
        assert outcome["tx_hash"] in done.text
        assert done.facts["calls_hash"] == card.facts["calls_hash"]
        assert running.chain_balance_yocto("bob.localnet") == before + 3 * NEAR // 2

        status = running.say(f"/tx_status {outcome['tx_hash']}")
        assert status.facts["status"] == "answered"
        assert "final" in status.text.lower()

        again = running.say(f"confirm {code}")
        assert again.facts["outcomes"][0]["tx_hash"] == outcome["tx_hash"]
        assert running.chain_balance_yocto("bob.localnet") == before + 3 * NEAR // 2
        for answer in (looked, card, done, status, again):
            plain = {name: value for name, value in answer.body.items() if name != "near_agent"}
            assert OPENAI.schema("CreateChatCompletionResponse", plain, strict=True) == []
            assert answer.headers["x-request-id"] == answer.facts["request_id"]
        assert running.terminate() == 0

    told = [record for record in records(folder) if record.request.text.startswith("confirm")]
    assert [record.status for record in told] == ["executed", "executed"]
    assert {record.approval_of for record in told} == {card.facts["request_id"]}
    assert code not in "".join(record.model_dump_json() for record in records(folder))
    assert code not in log_of(folder)


def test_a_first_start_makes_its_files_and_shows_no_key(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with daemon(folder) as running:
        address = json.loads((folder / "daemon.json").read_text())
        assert address["pid"] == running.process.pid
        assert address["url"] == running.url
        assert (folder / "lock").read_text() == str(running.process.pid)
        with urllib.request.urlopen(f"{running.url}/readyz") as ready:
            assert ready.status == 200
        block = {"jsonrpc": "2.0", "id": "1", "method": "block", "params": {"finality": "final"}}
        with urllib.request.urlopen(urllib.request.Request(address["rpc_url"], json.dumps(block).encode())) as answer:
            assert json.loads(answer.read())["result"]["header"]["height"] >= 0
        for name in ("api_key", "operator_key", "localnet/credentials/alice.localnet.json"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert f"$(cat {folder / 'api_key'})" in running.second_line
        assert running.url in running.second_line
        key = running.key
        assert key.startswith("na_")
        assert running.terminate() == 0
        assert running.process.stdout is not None
        assert running.process.stdout.read() == ""
        assert key not in running.second_line + log_of(folder)
        assert not (folder / "daemon.json").exists()
    with daemon(folder) as running:
        assert running.key == key
        assert running.say("/near_balance @me").status == 200
