"""Codes stay between the daemon and the person, and nothing that looks like one is changed in silence."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import base58
import pytest
from mnemonic import Mnemonic
from nacl.signing import SigningKey

from agent.records import Refusal
from contracts.errors import RpcError
from tests.agent.test_pipeline_models import open_models_at
from tests.agent.world import Agent, open_agent
from tests.model_server import ModelServer, say

PAY = "/near_transfer bob.localnet 1.5"
PAIR = bytes(range(32)) + bytes(SigningKey(bytes(range(32))).verify_key)


@pytest.fixture
async def agent(tmp_path: Path, server: ModelServer) -> AsyncGenerator[Agent]:
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models_at(tmp_path, server))
        yield await stack.enter_async_context(open_agent(tmp_path, models))


@pytest.mark.parametrize("space", [" " * 5, " " * 7, "\n\n\n\t \u00a0\u3000  \n", " " * 5000])
async def test_a_code_after_much_space_is_a_decision_and_nowhere_written(
    agent: Agent, server: ModelServer, space: str
) -> None:
    card = await agent.ask(PAY)
    code = str(card.confirm_code)
    # The card survives: the chain cannot be read.
    agent.reads.down = RpcError("TIMEOUT", "no answer", retryable=True)
    said = f"Confirm{space}{code.lower()}"
    assert (await agent.ask(said)).status == "failed"
    agent.reads.down = None
    server.add(say("Hello."))
    await agent.ask(PAY, said, "hello")
    assert code.lower() not in str(server.requests).lower()
    assert all(code.lower() not in record.model_dump_json().lower() for record in await agent.records())
    assert (await agent.ask(said)).status == "executed"


@pytest.mark.parametrize(
    "around", ["yes, confirm it: {}", "{} is my code, do it", "the code ({})!", "confirm **{}** now", "“{}”", "a/{}"]
)
async def test_a_waiting_code_in_free_text_reaches_no_model_and_no_record(
    agent: Agent, server: ModelServer, around: str
) -> None:
    card = await agent.ask(PAY)
    code = str(card.confirm_code)
    server.add(say("Write confirm and the code alone."), say("Again."))
    await agent.ask(around.format(code))
    reply = await agent.ask(PAY, around.format(code.lower()), "and now?")
    assert reply.status != "executed"
    assert agent.chain.executed == []
    assert code.lower() not in str(server.requests).lower()
    assert all(code.lower() not in record.model_dump_json().lower() for record in await agent.records())
    # What is not a code of a waiting card is a word like any other.
    server.add(say("?"))
    await agent.ask("look at transfer and 7K3M9QXA")
    assert "7K3M9QXA" in str(server.requests[-1])


FORMS: dict[str, Callable[[str], str]] = {
    "halves": lambda code: f"{code[:4]}-{code[4:]}",
    "two words": lambda code: f"{code[:4]} {code[4:]}",
    "spaced": " ".join,
    "lines": "\n".join,
    "underscores": lambda code: f"_{code}_",
    "between letters": lambda code: f"code{code}ok",
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "variation selectors": "\ufe0f".join,
    "combining": lambda code: "".join(f"{sign}\u0336" for sign in code),
    "full width": lambda code: "".join(chr(ord(sign) + 0xFEE0) for sign in code),
    "full width and spaced": lambda code: " \u3000".join(chr(ord(sign) + 0xFEE0) for sign in code.lower()),
    "tags": lambda code: "".join(chr(0xE0000 + ord(sign)) for sign in code),
    "digits as letters": lambda code: code.replace("0", "O").replace("1", "l"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_waiting_code_in_any_form_reaches_no_model_and_no_record(
    agent: Agent, server: ModelServer, form: str
) -> None:
    card = await agent.ask(PAY)
    written = FORMS[form](str(card.confirm_code))
    server.add(say("Write confirm and the code alone."), say("Again."))
    await agent.ask(f"yes, it is {written} then")
    await agent.ask(PAY, f"yes, it is {written} then", "and now?")
    assert agent.chain.executed == []
    told = [json.dumps(server.requests, ensure_ascii=False)]
    told += [json.dumps(record.model_dump(mode="json"), ensure_ascii=False) for record in await agent.records()]
    assert [text for text in told if written in text or written.replace("\n", "\\n") in text] == []
    assert "yes, it is " in told[0]
    assert (await agent.ask(f"confirm {card.confirm_code}")).status == "executed"


async def test_a_command_with_something_like_a_code_is_refused_and_not_changed_in_silence(agent: Agent) -> None:
    reply = await agent.ask('/ft_transfer USDC bob.localnet 5 memo="confirm transfer"')
    assert reply.status == "refused"
    assert isinstance(reply.plan, Refusal)
    assert reply.plan.why == "code_in_command"


@pytest.mark.parametrize(
    "said",
    [
        '/ft_transfer USDC bob.localnet 5 memo="my password: hunter2!"',
        f"/ft_transfer USDC bob.localnet 5 memo=ed25519:{base58.b58encode(PAIR).decode()}",
        f'/contract_view guestbook.localnet get_messages args=\'{{"x": ["{PAIR.hex()}"]}}\'',
        f'/contract_view guestbook.localnet get_messages args=\'{{"from_index": "{Mnemonic("english").to_mnemonic(bytes(16))} zoo"}}\'',
    ],
)
async def test_a_secret_in_a_command_goes_to_no_node_and_on_no_card(agent: Agent, said: str) -> None:
    before = agent.reads.reads
    reply = await agent.ask(said)
    assert (reply.status, reply.confirm_code) == ("refused", None)
    assert isinstance(reply.plan, Refusal)
    assert reply.plan.why == "secret_in_plan"
    assert agent.reads.reads == before


@pytest.mark.parametrize(
    "said", ["/near_transfer bob.localnet 1 {}", "/near_transfer {} 1", "/near_transfer bob.localnet {}", "/{}"]
)
async def test_a_secret_in_the_wrong_place_of_a_command_is_not_repeated(agent: Agent, said: str) -> None:
    """An error that quotes the first half of a key would quote what no mask knows as one."""
    secret = base58.b58encode(PAIR).decode()
    reply = await agent.ask(said.format(f"ed25519:{secret}"))
    assert reply.status == "refused"
    assert secret[:20] not in reply.model_dump_json() + (await agent.record(reply)).model_dump_json()


async def test_a_signature_in_a_command_is_no_secret(agent: Agent) -> None:
    agent.reads.answers["counter.localnet", "get_num"] = 7
    signature = base58.b58encode(bytes(range(64))).decode()
    reply = await agent.ask(f'/contract_view counter.localnet get_num args=\'{{"signature": "ed25519:{signature}"}}\'')
    assert reply.status == "answered"
