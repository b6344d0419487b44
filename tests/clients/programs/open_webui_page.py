"""A page of Open WebUI in Chromium, used as a person uses it."""

import json
import re
import shutil

from lines import serve, setup
from playwright.sync_api import sync_playwright

LIMIT_MS = 240_000
url = setup()["base_url"]
playwright = sync_playwright().start()
browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
page = browser.new_page()
page.set_default_timeout(LIMIT_MS)
answers = page.locator(".chat-assistant")
events = []


def heard(frame):
    """Note what the server tells the page: `42/path,["events",{...}]` by socket.io's rules."""
    found = re.match(r"42(?:/[^,]*,)?(\[.*)$", frame if isinstance(frame, str) else "", re.DOTALL)
    if found:
        name, *more = json.loads(found[1])
        if name == "events":
            events.append(more[0])


page.on("websocket", lambda socket: socket.on("framereceived", heard))


def opened(model="near-agent"):
    if page.url == "about:blank":
        page.goto(f"{url}/?models={model}", wait_until="domcontentloaded")
        page.wait_for_selector("#chat-input")
        welcome = page.get_by_role("button", name="Okay, Let's Go!")
        # The news of the release open a moment after the page, and cover it.
        page.wait_for_timeout(2000)
        if welcome.count():
            welcome.first.click()


def until(true):
    for _ in range(LIMIT_MS // 100):
        if true():
            return
        page.wait_for_timeout(100)
    raise TimeoutError(page.inner_text("body")[-2000:])


def send(asked):
    opened(asked["model"])
    events.clear()
    page.click("#chat-input")
    page.keyboard.type(asked["messages"][-1]["content"])
    page.keyboard.press("Enter")


def heard_here():
    """Return what the server told about the messages of this page: each page of a person hears of all conversations."""
    shown = page.evaluate("""() => [...document.querySelectorAll('[id^="message-"]')].map(e => e.id.slice(8))""")
    return [event["data"] for event in events if event.get("message_id") in shown]


def is_done():
    return is_failed() or any(e["type"] == "chat:completion" and e["data"].get("done") for e in heard_here())


def is_failed():
    return any(
        e["type"] == "chat:message:error" or (e["type"] == "chat:completion" and e["data"].get("error"))
        for e in heard_here()
    )


def answered():
    until(is_done)
    page.wait_for_timeout(500)
    shown = answers.last.inner_text()
    if is_failed():
        raise RuntimeError(shown)
    return shown


def models(_):
    opened()
    page.click("#model-selector-model-button")
    page.wait_for_selector('[role="option"]')
    return {"models": [item.get_attribute("data-value") for item in page.locator('[role="option"]').all()]}


def ask(asked):
    send(asked)
    return {"text": answered()}


def stream(asked):
    send(asked)
    answered()
    told = [event["data"] for event in heard_here() if event["type"] == "response:completion"]
    return {"pieces": [data["delta"] for data in told if data.get("type") == "response.output_text.delta"]}


def leave(asked):
    send(asked)
    stop = page.get_by_role("button", name="Stop")
    until(lambda: is_done() or stop.count() > 0)
    if stop.count():
        stop.first.click()
    page.wait_for_timeout(1000)
    return {}


def again(_):
    events.clear()
    page.locator('button[aria-label="Regenerate"]').last.click()
    page.get_by_text("Try Again").first.click()
    return {"text": answered()}


def title(asked):
    """The title that the page shows, asked for by the page's own call."""
    opened()
    messages = [{"role": "user", "content": asked["said"]}, {"role": "assistant", "content": asked["answered"]}]
    completion = page.evaluate(
        """async (body) => (await fetch("/api/v1/tasks/title/completions", {
            method: "POST",
            headers: {"Content-Type": "application/json", Authorization: "Bearer " + localStorage.token},
            body: JSON.stringify(body)})).json()""",
        {"model": "near-agent", "messages": messages},
    )
    return {"text": json.loads(completion["choices"][0]["message"]["content"])["title"]}


serve(models=models, ask=ask, stream=stream, leave=leave, again=again, title=title)
