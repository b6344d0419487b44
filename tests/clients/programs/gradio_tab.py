"""A page of a gradio app, by gradio's own client: its public chat call, and the event handlers of its page."""

from gradio_client import Client
from lines import serve, setup

page = Client(setup()["base_url"], verbose=False)
shown = [[]]
"""The chat as the page shows it, after each step."""


def models(_):
    described = page.view_api(return_format="dict")["named_endpoints"]["/chat"]["parameters"]
    return {"models": next(one["type"]["enum"] for one in described if one["parameter_name"] == "model")}


def last_answer(chatbot):
    return "".join(part["text"] for part in chatbot[-1]["content"])


def ask(asked):
    """Do what the page does when a message is entered: these calls are its event handlers, in their order."""
    page.predict(asked["messages"][-1]["content"], api_name="/_clear_and_save_textbox")
    shown.append(page.predict(shown[-1], api_name="/_append_message_to_history"))
    shown.append(page.predict(asked["model"], api_name="/_submit_fn"))
    page.predict(shown[-1], api_name="/lambda")
    return {"text": last_answer(shown[-1])}


def again(asked):
    """Do what the page does at its retry button."""
    page.predict(api_name="/_pop_last_user_message")
    page.predict(api_name="/_append_message_to_history_1")
    shown.append(page.predict(asked["model"], api_name="/_submit_fn_1"))
    page.predict(shown[-1], api_name="/lambda_3")
    return {"text": last_answer(shown[-1])}


def submitted(asked):
    return page.submit(asked["messages"][-1]["content"], asked["model"], api_name="/chat")


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


serve(models=models, ask=ask, again=again, stream=stream, leave=leave)
