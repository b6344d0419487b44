"""A process to be killed: writes requests, records and ledger steps, and prints each id after it was acknowledged."""

import asyncio
import sys
from itertools import count
from pathlib import Path

from agent.store.store import Store, open_store
from tests.agent.store.examples import NOW, grant, intent, record, request, signed


async def one(store: Store, number: int) -> None:
    name = f"{number:06}"
    await store.records.open_request(request(name))
    print("opened", name, flush=True)
    await store.ledger.create([intent(name, request_id=name)])
    await store.ledger.approve(grant(f"grant {name}"), [name], NOW)
    await store.ledger.store_signed(name, f"grant {name}", signed(number + 1, salt=name), NOW)
    print("signed", name, flush=True)
    await store.records.finish(record(request(name)))
    print("recorded", name, flush=True)


async def main() -> None:
    numbers = count()

    async def worker(store: Store) -> None:
        while True:
            await one(store, next(numbers))

    # One lane for the nonces, which must rise in the order of storing; its records come in between others'.
    async with open_store(Path(sys.argv[1])) as store, asyncio.TaskGroup() as group:
        group.create_task(worker(store))
        for lane in range(8):
            group.create_task(chatter(store, lane))


async def chatter(store: Store, lane: int) -> None:
    for number in count():
        asked = request(f"chat {lane} {number}")
        await store.records.open_request(asked)
        print("opened", f"chat-{lane}-{number}", flush=True)
        await store.records.finish(record(asked))
        print("recorded", f"chat-{lane}-{number}", flush=True)


asyncio.run(main())
