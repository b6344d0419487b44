"""The official Python client of OpenAI: chat completions."""

import json

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


def image(asked):
    parts = [{"type": "image_url", "image_url": {"url": asked["image"]}}]
    if asked["text"]:
        parts.insert(0, {"type": "text", "text": asked["text"]})
    return ask({"model": "near-agent", "messages": [{"role": "user", "content": parts}]})


def embed(_):
    return {"value": client.embeddings.create(model="near-agent", input="words").model_dump()}


def complete(_):
    return {"text": client.completions.create(model="near-agent", prompt="/help").choices[0].text}


def forced(asked):
    answer = client.chat.completions.create(
        model="near-agent",
        messages=[{"role": "user", "content": asked["prompt"]}],
        tools=[{"type": "function", "function": {"name": "save", "parameters": asked["schema"]}}],
        tool_choice={"type": "function", "function": {"name": "save"}},
    )
    return {"value": json.loads(answer.choices[0].message.tool_calls[0].function.arguments)}


serve(
    models=models,
    ask=ask,
    again=ask,
    stream=stream,
    leave=leave,
    structured=structured,
    image=image,
    embed=embed,
    complete=complete,
    forced=forced,
)
