"""A page of a gradio app, by gradio's own client."""

from gradio_client import Client
from lines import serve, setup

page = Client(setup()["base_url"], verbose=False)


def models(_):
    described = page.view_api(return_format="dict")["named_endpoints"]["/chat"]["parameters"]
    return {"models": next(one["type"]["enum"] for one in described if one["parameter_name"] == "model")}


def submitted(asked):
    return page.submit(asked["messages"][-1]["content"], asked["model"], api_name="/chat")


def ask(asked):
    return {"text": submitted(asked).result()}


def stream(asked):
    job = submitted(asked)
    job.result()
    whole = job.outputs()
    return {"pieces": [later.removeprefix(sooner) for sooner, later in zip(["", *whole], whole, strict=False)]}


def leave(asked):
    job = submitted(asked)
    next(iter(job))
    job.cancel()
    return {}


serve(models=models, ask=ask, stream=stream, leave=leave)
