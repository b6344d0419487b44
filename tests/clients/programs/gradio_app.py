"""A gradio chat page as its documentation has it, with the daemon's models to choose from."""

import os

import gradio as gr
from openai import OpenAI

client = OpenAI(base_url=os.environ["DAEMON_URL"], api_key=os.environ["DAEMON_KEY"], max_retries=0)


def text_of(content):
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def answer(message, history, model):
    turns = [{"role": turn["role"], "content": text_of(turn["content"])} for turn in history]
    shown = ""
    try:
        for chunk in client.chat.completions.create(
            model=model, messages=[*turns, {"role": "user", "content": message}], stream=True
        ):
            shown += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            yield shown
    except Exception as error:
        raise gr.Error(str(error)) from error


models = gr.Dropdown([model.id for model in client.models.list()], allow_custom_value=True, label="model")
page = gr.ChatInterface(answer, additional_inputs=[models], api_name="chat")
page.launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]))
