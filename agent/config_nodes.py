"""RPC nodes in the configuration: an address, or a table that says more about it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Self, cast

from pydantic import Field, JsonValue, PrivateAttr, SecretStr, ValidationInfo, model_validator

from agent.config_sections import Address, Section, VariableName
from contracts.chain.endpoints import Endpoint, shown
from contracts.errors import RpcError


class RpcNode(Section):
    """`"https://..."` or `{url = "https://...", operator = "...", archival = true}`. Shown without what may hold a key."""

    url: Annotated[Address, Field(repr=False)]
    operator: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[!-~]+$")] | None = None
    """Who runs it; without it, as far as the host's name tells. Operators are counted, not addresses."""
    archival: bool = False
    requests_per_s: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] | None = None
    api_key_env: VariableName | None = None
    """The variable with the provider's key, which goes into the header `Authorization: Bearer`."""
    _api_key: SecretStr | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: JsonValue) -> JsonValue:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _usable(self, info: ValidationInfo) -> Self:
        try:
            Endpoint.of(self.url)
        except RpcError:
            raise ValueError("is not an http:// or https:// address") from None
        environ = cast("Mapping[str, str] | None", info.context)
        if self.api_key_env is not None and environ and environ.get(self.api_key_env):
            self._api_key = SecretStr(environ[self.api_key_env])
        return self

    @property
    def endpoint(self) -> Endpoint:
        plain = Endpoint.of(self.url, self.operator)
        node = replace(plain, archival=self.archival, requests_per_s=self.requests_per_s)
        return node if self._api_key is None else node.with_bearer(self._api_key.get_secret_value())

    @property
    def shown(self) -> str:
        """Scheme, host and port."""
        return shown(self.url)


def nodes(*urls: str, archival: str) -> tuple[RpcNode, ...]:
    """Public nodes of one network, an archival one after them."""
    return (*(RpcNode(url=url) for url in urls), RpcNode(url=archival, archival=True))
