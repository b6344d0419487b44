"""A chainlit app as its documentation has it, with the daemon's models as chat profiles."""

import os

import chainlit as cl
from openai import AsyncOpenAI

client = AsyncOpenAI(base_url=os.environ["DAEMON_URL"], api_key=os.environ["DAEMON_KEY"], max_retries=0)


@cl.set_chat_profiles
async def profiles(_user, _language):
    return [cl.ChatProfile(name=model.id, markdown_description="") async for model in client.models.list()]


@cl.on_message
async def answer(_):
    shown = cl.Message(content="")
    chunks = await client.chat.completions.create(
        model=cl.user_session.get("chat_profile"), messages=cl.chat_context.to_openai(), stream=True
    )
    async for chunk in chunks:
        if chunk.choices and (piece := chunk.choices[0].delta.content):
            await shown.stream_token(piece)
    await shown.send()
