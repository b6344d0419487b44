"""The official Python client of OpenAI: chat completions."""

from lines import serve, setup
from openai import OpenAI
from pydantic import create_model

access = setup()
client = OpenAI(base_url=access["base_url"], api_key=access["key"], max_retries=0)


def models(_):
    return {"models": [model.id for model in client.models.list()]}


def ask(asked):
    answer = client.chat.completions.create(model=asked["model"], messages=asked["messages"])
    return {"text": answer.choices[0].message.content}


def stream(asked):
    with client.chat.completions.stream(model=asked["model"], messages=asked["messages"]) as events:
        pieces = [event.delta for event in events if event.type == "content.delta"]
        final = events.get_final_completion()
    assert final.choices[0].message.content == "".join(pieces)
    return {"pieces": pieces}


def leave(asked):
    events = client.chat.completions.create(model=asked["model"], messages=asked["messages"], stream=True)
    next(iter(events))
    events.close()
    return {}


def structured(asked):
    kinds = {"string": str, "array": list[str]}
    fields = {name: (kinds[wanted["type"]], ...) for name, wanted in asked["schema"]["properties"].items()}
    answer = client.chat.completions.parse(
        model="near-agent",
        messages=[{"role": "user", "content": asked["prompt"]}],
        response_format=create_model("Answer", **fields),
    )
    return {"value": answer.choices[0].message.parsed.model_dump()}


serve(models=models, ask=ask, again=ask, stream=stream, leave=leave, structured=structured)
