"""Whether words ask for a change: requests do, questions and reports do not, and what could be either is unclear."""

import pytest

from agent.planning.asking import asking

ASKS = (
    "send 3 NEAR to bob.localnet",
    "Could you send 5 NEAR to bob.localnet?",
    "hey, can u transfer 1 near to bob.localnet",
    "pay bob.localnet what he asked: 5 NEAR",
    "transfer 5 USDC to bob.localnet, he asked for it",
    "I'd like to send 5 NEAR to bob.localnet",
    "swap 5 USDC to USDT if you can",
    "vote yes on proposal 3 of dao.localnet",
    "increment counter.localnet",
    "What is my balance? Then send 1 NEAR to bob.localnet.",
    "show my balance, send 1 NEAR to bob.localnet, show it again",
    "sende 5 NEAR an bob.localnet",
    "kannst du 5 NEAR an bob.localnet senden? schicke sie heute",
    "envía 5 NEAR a bob.localnet",
    "envoie 5 NEAR à bob.localnet",
    "envie 5 NEAR para bob.localnet",
    "отправь 5 NEAR на bob.localnet",
    "给 bob.localnet 转 5 NEAR",
    "请发送 5 NEAR 到 bob.localnet",
)
ASKS_NOTHING = (
    "what is 0.5 NEAR worth, bob.localnet asked",
    "did you send 3 NEAR to bob.localnet?",
    "how much does it cost to send 5 NEAR to bob.localnet?",
    "how do I stake 5 NEAR with pool.localnet",
    "bob.localnet sent me 5 NEAR",
    "I sent 5 NEAR to bob.localnet yesterday",
    "my rent is 5 NEAR, bob.localnet told me",
    "should I stake 5 NEAR with pool.localnet?",
    "what happens if I send 5 NEAR to bob.localnet",
    "don't send 5 NEAR to bob.localnet",
    "never pay 5 NEAR to bob.localnet",
    "has bob.localnet paid 5 NEAR",
    "is it a good idea to swap 5 USDC for USDT?",
    "was kostet es, 5 NEAR an bob.localnet zu senden?",
    "¿cuánto cuesta enviar 5 NEAR a bob.localnet?",
    "сколько стоит отправить 5 NEAR на bob.localnet?",
    "bob.localnet 要 5 NEAR 是多少钱？",
)
UNCLEAR = (
    "yes",
    "3 NEAR to bob.localnet",
    "NEAR price is 5 and bob.localnet is rich",
    "send 5 NEAR to bob.localnet?",
    "what is my balance, then send 5 NEAR to bob.localnet",
    "bob.localnet quiere 5 NEAR",
    "",
)


@pytest.mark.parametrize("words", ASKS)
def test_request_asks(words: str) -> None:
    assert asking(words) == "asks"


@pytest.mark.parametrize("words", ASKS_NOTHING)
def test_question_and_report_ask_for_nothing(words: str) -> None:
    assert asking(words) == "asks_nothing"


@pytest.mark.parametrize("words", UNCLEAR)
def test_words_that_could_be_either_are_unclear(words: str) -> None:
    assert asking(words) == "unclear"


@pytest.mark.parametrize("piece", ["send ", ", ", "send, ", "? ", "\n", "if i ", "what "])
def test_reading_takes_time_in_proportion_to_the_length(piece: str) -> None:
    assert asking(piece * (16_000 // len(piece))) in {"asks", "unclear", "asks_nothing"}
