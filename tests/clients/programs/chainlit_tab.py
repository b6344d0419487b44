"""A page of a chainlit app: its socket, as the app's own JavaScript uses it."""

import json
import queue
import urllib.request
import uuid

import socketio
from lines import serve, setup

url = setup()["base_url"]
socket = socketio.Client()
events = queue.SimpleQueue()
user_messages = []
for name in ("new_message", "update_message", "stream_start", "stream_token", "task_end"):
    socket.on(name, lambda data=None, name=name: events.put((name, data)))


def connected(model):
    if not socket.connected:
        auth = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": "{}", "chatProfile": model}
        socket.connect(url, auth={**auth, "threadId": ""}, socketio_path="/ws/socket.io", transports=["websocket"])
        socket.emit("connection_successful")
        assert events.get(timeout=60)[0] == "task_end"


def messages_until_the_end():
    """Return the pieces of the answer and the messages that the page shows, by id."""
    pieces, shown = [], {}
    while True:
        name, data = events.get(timeout=240)
        if name == "task_end":
            return pieces, shown
        if name == "stream_start":
            pieces.append(data["output"])
        elif name == "stream_token":
            pieces.append(data["token"])
        elif data["type"] != "user_message" and not data.get("streaming"):
            shown[data["id"]] = data


def answered():
    pieces, shown = messages_until_the_end()
    failed = [message["output"] for message in shown.values() if message.get("isError")]
    if failed:
        raise RuntimeError(failed[0])
    return pieces, "\n".join(message["output"] for message in shown.values())


def send(asked):
    connected(asked["model"])
    message = {"id": str(uuid.uuid4()), "type": "user_message", "name": "user", "createdAt": "2026-01-01T00:00:00Z"}
    user_messages.append({**message, "output": asked["messages"][-1]["content"]})
    socket.emit("client_message", {"message": user_messages[-1], "fileReferences": []})


def models(_):
    with urllib.request.urlopen(f"{url}/project/settings") as answer:
        return {"models": [profile["name"] for profile in json.load(answer)["chatProfiles"]]}


def ask(asked):
    send(asked)
    return {"text": answered()[1]}


def stream(asked):
    send(asked)
    return {"pieces": answered()[0]}


def leave(asked):
    send(asked)
    socket.emit("stop")
    messages_until_the_end()
    return {}


def again(_):
    """The pencil: a message that is edited is answered again."""
    socket.emit("edit_message", {"message": user_messages[-1], "fileReferences": []})
    return {"text": answered()[1]}


serve(models=models, ask=ask, stream=stream, leave=leave, again=again)
