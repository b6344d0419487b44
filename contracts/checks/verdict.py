"""What the policy says of built calls: may they go, who has to approve, and what they use up of which budget."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from contracts.chain.budget import Budget, Spend

Decision: TypeAlias = Literal["allow", "ask", "deny"]
Channel: TypeAlias = Literal["text", "elicitation", "key", "operator", "console", "policy"]
"""Over which way an approval came.

`text` is a code in a conversation, `elicitation` a form that an MCP client shows, `key` a request with an API key,
`operator` the command line on the daemon's machine, `console` the web console; `policy` is the free allowance.
"""

CHAT: Final[frozenset[Channel]] = frozenset({"text", "elicitation", "key"})
"""Ways that belong to the front end which asked: whoever holds its key can use them."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that spoke."""

    rule: str
    """Its key in the policy's file, or a name of the built-in rules, e.g. `always_ask.keys`."""
    decision: Decision
    text: str
    """For people: what the rule saw, and where it denies what to do. Text from outside in it is inert."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """An account that the calls name."""

    account_id: str
    """Shaped like an account id."""
    where: str
    """`receiver`, or the path of the argument, e.g. `msg.receiver_id`."""
    name: str | None = None
    """Its name in the address book."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`allow` needs nobody, `ask` needs `approvers` people over ways that are allowed, `deny` is the end."""

    decision: Decision
    reasons: tuple[Reason, ...]
    approvers: Literal[1, 2] = 1
    elsewhere: bool = False
    """The approval may not come over the channel that asked."""
    chat_allowed: bool = True
    """False for a key that several people share: no approval by its holders counts."""
    spends: tuple[Spend, ...] = ()
    budgets: tuple[Budget, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    approver_ids: tuple[str, ...] = ()
    """Identities that may approve besides those who act for the same account."""

    @property
    def denial(self) -> Reason | None:
        """The first rule that denies."""
        return next((reason for reason in self.reasons if reason.decision == "deny"), None)
