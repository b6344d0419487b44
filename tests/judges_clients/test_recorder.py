"""The recorder itself: it passes on what it gets, and a wrong answer does not get past it."""

import aiohttp

from tests.judges_clients.recorder import Exchange, Recorder, recording


async def test_a_wrong_answer_is_a_problem() -> None:
    good = {"jsonrpc": "2.0", "id": "1", "result": {"gas_price": "100000000"}}
    assert Exchange("gas_price", [None], 200, good).problems() == []
    bad = {"jsonrpc": "2.0", "id": "1", "result": {"gas_price": 100000000}}
    assert Exchange("gas_price", [None], 200, bad).problems() != []
    recorder = Recorder("", [Exchange("gas_price", [None], 200, bad)])
    assert len(recorder.verdict()) == 1


async def test_answers_pass_unchanged(recorder: Recorder) -> None:
    async with aiohttp.ClientSession() as http:
        body = {"jsonrpc": "2.0", "id": "x", "method": "query", "params": {"request_type": "view_account"}}
        async with http.post(recorder.url, json=body) as response:
            assert response.status == recorder.exchanges[0].status == 400
            assert await response.json() == recorder.exchanges[0].answer


async def test_a_node_that_is_not_there_is_no_answer() -> None:
    async with recording("http://127.0.0.1:1") as recorder, aiohttp.ClientSession() as http:
        async with http.post(recorder.url, json={"method": "status"}) as response:
            assert response.status == 502
        assert recorder.exchanges == []
