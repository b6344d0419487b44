"""Secrets planted in everything that a daemon is sent are in no file that it wrote, no log line and no answer to others."""

import asyncio
import base64
import http.client
import json
import shlex
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import base58
from mnemonic import Mnemonic
from nacl.signing import SigningKey

from tests.e2e.programs import RunningDaemon, daemon, log_of, near_agent_here
from tests.model_server import calls, open_model_server, say


@dataclass(frozen=True)
class Canary:
    name: str
    said: str
    """As it is planted, with the words that people put around it."""
    secret: str
    """What must be found nowhere."""


def pair(number: int) -> bytes:
    seed = bytes([number]) * 16 + bytes(range(16))
    return seed + bytes(SigningKey(seed).verify_key)


def phrase(number: int, size: int) -> str:
    return Mnemonic("english").to_mnemonic(bytes((7 * place + number) % 256 for place in range(size * 4 // 3)))


def _canaries() -> list[Canary]:
    plain = {
        "ed25519": ("ed25519:{}", base58.b58encode(pair(1)).decode()),
        "bare base58": ("{}", base58.b58encode(pair(2)).decode()),
        "secp256k1": ("secp256k1:{}", base58.b58encode(pair(3)[:32]).decode()),
        "hex pair": ("{}", pair(4).hex()),
        "base64 pair": ("{}", base64.b64encode(pair(5)).decode()),
        "number pair": ("{}", str([*pair(6)])),
        "hex seed": ("my private key is {}", pair(7)[:32].hex()),
        "base58 seed": ("secret key {}", base58.b58encode(pair(8)[:32]).decode()),
        "base64 seed": ("seed: {}", base64.b64encode(pair(9)[:32]).decode()),
        "12 words": ("{}", phrase(1, 12)),
        "24 words": ("restore {} please", phrase(2, 24)),
        "15 words": ("{}", phrase(3, 15)),
        "bearer": ("Authorization: Bearer {}", "canary-bearer-4f8a9c2b1d"),
        "api key of ours": ("{}", "na_" + "cAnAry1" * 6 + "x"),
        "openai": ("{}", "sk-proj-canary0123456789abcdef"),
        "github": ("{}", "ghp_" + "cAnAry12" * 5),
        "aws": ("{}", "AKIACANARYCANARY1234"),
        "jwt": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.{}", "canarysignature0123"),
        "password": ("password: {}", "canary-hunter2-zzz"),
        "address": ("https://rpc.example/?apiKey={}", "canaryapikey0815"),
        "telegram": ("123456789:AA{}", "canary_" * 4 + "bot-1"),
    }
    return [Canary(name, around.format(secret), secret) for name, (around, secret) in plain.items()]


CANARIES = _canaries()
ALL = "\n".join(canary.said for canary in CANARIES)


def needles(canary: Canary) -> list[bytes]:
    """What is searched for: the secret as it is and as JSON and addresses write it, a phrase's words in part."""
    secret = canary.secret
    words = secret.split(" ")
    forms = [secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret)]
    if len(words) >= 12 and words[0].isalpha():
        forms = [" ".join(words[place : place + 4]) for place in range(0, len(words) - 3, 4)]
        forms += ["+".join(words[:4])]
    return [form.encode() for form in forms]


def found_in(data: bytes) -> set[str]:
    return {canary.name for canary in CANARIES if any(needle in data for needle in needles(canary))}


def plant(running: RunningDaemon) -> None:
    """Everything that a client can send. Nothing of it is confirmed: what is on a chain is public."""
    running.say(f"what is this?\n{ALL}")
    for number, canary in enumerate(CANARIES):
        running.say(f"/ft_transfer USDC bob.localnet 1 memo={shlex.quote(canary.said)}")
        if number % 4 == 0:
            said = canary.said[:100]
            running.say("/help", X_Near_Agent_Conversation=said, X_OpenWebUI_Message_Id=said, Idempotency_Key=said)
    everything = shlex.quote(ALL)
    running.say(f"/near_balance {everything}")
    running.say(f"/ft_transfer token={everything} receiver_id=bob.localnet amount=1")
    args = shlex.quote(json.dumps({"from_index": ALL}))
    running.say(f"/contract_view guestbook.localnet get_messages args={args}")
    running.say(f"/contract_view guestbook.localnet method_name={everything}")
    running.post("/v1/near/plan", {"messages": [{"role": "user", "content": ALL}]})
    bodies: list[object] = [{"model": ALL, "messages": []}, {ALL: 1}, ALL]
    for body in bodies:
        running.post("/v1/chat/completions", body)
    operator = (running.folder / "operator_key").read_text()
    for canary in CANARIES[::4]:
        get(running, f"/v1/{urllib.parse.quote(canary.said)}", operator, canary.said)


def get(running: RunningDaemon, path: str, key: str, agent: str) -> bytes:
    where = urllib.parse.urlsplit(running.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)
    headers = {"Authorization": f"Bearer {key}", "User-Agent": agent.encode("ascii", "replace").decode()}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse().read()
    connection.close()
    return answer


def probe(running: RunningDaemon) -> bytes:
    """What somebody else gets: with a wrong key, and as the operator."""
    told = [get(running, "/v1/models", canary.secret, "probe") for canary in CANARIES]
    commands = (("log",), ("log", "--json"), ("approve", "--list"), ("api-keys", "list"), ("keys", "list"))
    told += [near_agent_here(running.folder, *command).output.encode() for command in commands]
    return b"\n".join(told)


def test_there_are_twenty_canaries_and_the_search_finds_each() -> None:
    assert len(CANARIES) >= 20
    assert found_in(ALL.encode()) == {canary.name for canary in CANARIES}
    assert found_in(json.dumps(ALL).encode()) == {canary.name for canary in CANARIES}


async def test_no_planted_secret_is_written_logged_or_told_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with open_model_server() as models:
        models.add(say(f"I remember:\n{ALL}"), calls(("near_balance", {"account_id": ALL})), say(ALL))
        more = {
            "NEAR_AGENT_MODELS__STANDARD__BASE_URL": models.base_url,
            "NEAR_AGENT_MODELS__STANDARD__MODEL": "scripted",
        }

        def story() -> tuple[bytes, str]:
            with daemon(folder, more=more) as running:
                card = running.say("/near_transfer bob.localnet 1")
                code: str = card.facts["confirm_code"]
                plant(running)
                told = probe(running)
                assert running.terminate() == 0
            return told, code

        told, code = await asyncio.to_thread(story)
        prompts = json.dumps(models.requests).encode()
    assert found_in(told) == set()
    assert found_in(prompts) == set()
    written = {path: path.read_bytes() for path in [*folder.rglob("*"), folder.parent / "data.log"] if path.is_file()}
    assert any(path.name == "agent.db" for path in written)
    assert "request_finished" in log_of(folder)
    assert {str(path): found for path, data in written.items() if (found := found_in(data))} == {}
    for path, data in written.items():
        assert code.encode() not in data, path
    assert code.encode() not in told
