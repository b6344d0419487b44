"""The identity whose key came with the headers, before the body is read."""

import re
from collections.abc import Callable
from typing import Final

from aiohttp import web

from agent.frontends.errors import no_key
from agent.frontends.seams import KeyRing
from agent.records import Identity

_USER: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
"""A user of a shared key, as a trusted front end names them."""


async def identity_of(http: web.Request, keys: KeyRing) -> Identity:
    """The holder of the bearer key. RequestError `invalid_api_key`."""
    scheme, _, key = http.headers.get("Authorization", "").partition(" ")
    key = key.strip()
    identity = await keys.authenticate(key) if scheme.lower() == "bearer" and key else None
    if identity is None:
        raise no_key(given=bool(key))
    return identity


async def user_of(http: web.Request, keys: KeyRing, user_header: Callable[[str], str | None]) -> Identity:
    """The holder of the key, or the user that a trusted front end names in its header, as KEY/USER."""
    identity = await identity_of(http, keys)
    header = user_header(identity.key_id)
    match http.headers.getall(header, []) if header else []:
        # Said twice it is of a person and of the front end, and nobody can tell which is whose.
        case [user] if _USER.fullmatch(user):
            return identity.model_copy(update={"key_id": f"{identity.key_id}/{user}"})
        case _:
            return identity
