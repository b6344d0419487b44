"""LangChain's chat model for OpenAI-compatible servers."""

from langchain_openai import ChatOpenAI
from lines import serve, setup

access = setup()


def chosen(name):
    return ChatOpenAI(model=name, base_url=access["base_url"], api_key=access["key"], max_retries=0)


def ask(asked):
    return {"text": chosen(asked["model"]).invoke(asked["messages"]).text}


def stream(asked):
    pieces = [chunk.text for chunk in chosen(asked["model"]).stream(asked["messages"])]
    return {"pieces": [piece for piece in pieces if piece]}


def leave(asked):
    chunks = chosen(asked["model"]).stream(asked["messages"])
    next(chunks)
    chunks.close()
    return {}


def structured(asked):
    schema = {"title": "answer", **asked["schema"]}
    return {"value": chosen("near-agent").with_structured_output(schema).invoke(asked["prompt"])}


def forced(asked):
    schema = {"title": "save", **asked["schema"]}
    chain = chosen("near-agent").with_structured_output(schema, method="function_calling")
    return {"value": chain.invoke(asked["prompt"])}


serve(ask=ask, again=ask, stream=stream, leave=leave, structured=structured, forced=forced)
