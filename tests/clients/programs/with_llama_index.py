"""LlamaIndex's chat model for OpenAI-compatible servers."""

from lines import serve, setup
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from pydantic import create_model

access = setup()


def chosen(name):
    return OpenAILike(
        model=name,
        api_base=access["base_url"],
        api_key=access["key"],
        is_chat_model=True,
        should_use_structured_outputs=True,
        max_retries=0,
    )


def turns(asked):
    return [ChatMessage(role=message["role"], content=message["content"]) for message in asked["messages"]]


def ask(asked):
    return {"text": chosen(asked["model"]).chat(turns(asked)).message.content}


def stream(asked):
    pieces = [chunk.delta for chunk in chosen(asked["model"]).stream_chat(turns(asked))]
    return {"pieces": [piece for piece in pieces if piece]}


def leave(asked):
    chunks = chosen(asked["model"]).stream_chat(turns(asked))
    next(chunks)
    chunks.close()
    return {}


def structured(asked):
    kinds = {"string": str, "array": list[str]}
    fields = {name: (kinds[wanted["type"]], ...) for name, wanted in asked["schema"]["properties"].items()}
    answer = chosen("near-agent").as_structured_llm(create_model("Answer", **fields)).complete(asked["prompt"])
    return {"value": answer.raw.model_dump()}


serve(ask=ask, again=ask, stream=stream, leave=leave, structured=structured)
