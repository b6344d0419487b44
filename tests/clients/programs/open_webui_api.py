"""Open WebUI's own API, which passes conversations on to the daemon."""

import json
import urllib.error
import urllib.request

from lines import serve, setup

url = setup()["base_url"]


def call(path, body=None, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        return urllib.request.urlopen(urllib.request.Request(url + path, data, headers))
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()) from None


def read(path, body=None, token=None):
    with call(path, body, token) as answer:
        return json.load(answer)


# Without accounts, anybody is signed in as the administrator.
token = read("/api/v1/auths/signin", {"email": "", "password": ""})["token"]


def completed(messages, model="near-agent", **more):
    return read("/api/chat/completions", {"model": model, "messages": messages, "stream": False, **more}, token)


def text_of(completion):
    return completion["choices"][0]["message"]["content"]


def streaming(asked):
    body = {"model": asked["model"], "messages": asked["messages"], "stream": True}
    return call("/api/chat/completions", body, token)


def models(_):
    return {"models": [model["id"] for model in read("/api/models", token=token)["data"]]}


def ask(asked):
    return {"text": text_of(completed(asked["messages"], asked["model"]))}


def stream(asked):
    pieces = []
    with streaming(asked) as answer:
        for line in answer:
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:])["choices"]
                pieces += [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]
    return {"pieces": pieces}


def leave(asked):
    with streaming(asked) as answer:
        answer.readline()
    return {}


def title(asked):
    messages = [
        {"role": "user", "content": asked["said"]},
        {"role": "assistant", "content": asked["answered"]},
    ]
    body = {"model": "near-agent", "messages": messages}
    completion = read("/api/v1/tasks/title/completions", body, token)
    return {"text": json.loads(text_of(completion))["title"]}


def structured(asked):
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": asked["schema"]}}
    completion = completed([{"role": "user", "content": asked["prompt"]}], response_format=shape)
    return {"value": json.loads(text_of(completion))}


serve(models=models, ask=ask, stream=stream, leave=leave, again=ask, title=title, structured=structured)
