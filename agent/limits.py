"""The limits of what a request can make the daemon do, in one frozen value.

The rule: everything that a request can make the process do is bounded in bytes, items, seconds and slots, for each
identity, before it is parsed or done. A thread is no bound: it holds the interpreter. An identity is an API key's id, or
KEY/USER where the policy trusts the key's front end to name its users.

- Bytes: `frontends.bodies` reads every body, after the key was checked, and counts what each identity has in memory.
- Items: `wire` counts a body's JSON values before it is parsed; a contract's answer is cut before it is decoded.
- Processor time: `frontends.pace` lets an identity that used more than its share wait while others ask.
- Seconds: a body has to arrive, and an answer has to be taken, in time; `frontends.connections` ends idle connections.
- Slots: `frontends.running` counts requests at work. Confirmations, approvals and the operator's commands have slots of
  their own, and health checks need none, so that no flood of requests keeps them waiting.
- Records: `store.records` shortens the texts of an identity that fills the disk. It never drops a record.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from agent.config_sections import Section

_Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
_Bytes: TypeAlias = Annotated[int, Field(ge=65_536, le=1_073_741_824)]
_Seconds: TypeAlias = Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)]


class Limits(Section):
    """`[limits]`. Numbers are for each identity where nothing else is said."""

    shared_key_factor: Annotated[int, Field(ge=1, le=1_000)] = 4
    """A key whose front end names its users gets this many times what one of them gets, for all of them together."""

    max_body_bytes: _Bytes = 4_194_304
    """One request's body; a longer one is answered 413."""
    body_timeout_s: _Seconds = 30.0
    """From the headers to the last byte of the body, then 408."""
    max_messages: _Count = 2_000
    max_json_values: Annotated[int, Field(ge=1_000, le=1_000_000)] = 50_000
    """Of one body, counted before it is parsed, then 413."""
    bodies: _Count = 32
    """Bodies that are being received at once, then 429."""
    body_bytes: _Bytes = 16_777_216
    """In memory at once, of all the bodies that are being received and parsed, then 429."""
    body_bytes_in_all: _Bytes = 67_108_864
    """The same of all identities together, then 503."""

    requests: _Count = 16
    """Requests running at once, then 429."""
    requests_in_all: _Count = 256
    """The same of all identities together, then 503."""
    decisions: _Count = 8
    """Confirmations, approvals and the operator's commands running at once, besides the requests, then 429."""

    processor_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.1
    """Of the event loop's time, while others ask too; who used more waits for its next request's turn."""
    processor_burst_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.2
    """Seconds that may be used beyond the share before anything waits."""

    max_connections: Annotated[int, Field(ge=8, le=100_000)] = 512
    """Open at once; a new one ends the one that has been idle for the longest time."""
    idle_timeout_s: _Seconds = 75.0
    """A connection that sends no complete request for this time is closed."""
    header_timeout_s: _Seconds = 15.0
    """The same for a connection that has sent none yet, whose sender nobody knows."""
    answer_timeout_s: _Seconds = 30.0
    """A client that does not take what it was sent for this time is cut off; its request goes on."""

    contract_answer_bytes: Annotated[int, Field(ge=1_024, le=4_194_304)] = 262_144
    """Bytes of a contract's answer that are decoded, answered and recorded; the rest is cut, and the answer says so."""
    record_bytes_per_hour: _Bytes = 33_554_432
    """Records written in a rolling hour; beyond it the texts of further records are shortened, and say so."""

    @property
    def shown(self) -> str:
        """The limits that people meet, in one line."""
        return (
            f"per identity {self.requests} requests at once ({self.requests * self.shared_key_factor} for a shared key) "
            f"and {self.decisions} decisions, {_size(self.body_bytes)} of bodies, "
            f"{_size(self.record_bytes_per_hour)} of full records an hour; "
            f"a body of {_size(self.max_body_bytes)}, {self.max_messages:,} messages and {self.max_json_values:,} JSON values "
            f"within {self.body_timeout_s:g} s; {_size(self.contract_answer_bytes)} of a contract's answer; "
            f"{self.max_connections} connections"
        )


def _size(count: int) -> str:
    return f"{count / 1_048_576:g} MiB" if count % 1_048_576 == 0 else f"{count / 1024:g} KiB"
