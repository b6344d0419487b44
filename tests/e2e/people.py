"""People of the embedded chain, each with a key of their own to one daemon."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import Answer, RunningDaemon, daemon, near_agent_here


@dataclass(frozen=True)
class Person:
    """Writes to the daemon with a key of their own."""

    running: RunningDaemon
    key: str

    def say(self, text: str) -> Answer:
        return self.running.say(text, Authorization=f"Bearer {self.key}")

    def card(self, command: str) -> Answer:
        card = self.say(command)
        assert card.facts["status"] == "needs_approval", card.text
        return card

    def does(self, command: str) -> tuple[str, Answer]:
        """The card's text and the answer to its confirmation."""
        card = self.card(command)
        return card.text, self.say(f"confirm {card.facts['confirm_code']}")

    def done(self, command: str) -> tuple[str, Answer]:
        card, done = self.does(command)
        assert done.facts["status"] == "executed", done.text
        return card, done

    def refused(self, command: str) -> str:
        answer = self.say(command)
        assert answer.facts["status"] == "refused", answer.text
        return answer.text

    def told(self, command: str) -> str:
        answer = self.say(command)
        assert answer.facts["status"] == "answered", answer.text
        return answer.text


@dataclass(frozen=True)
class People:
    alice: Person
    bob: Person
    carol: Person
    running: RunningDaemon


@contextmanager
def daemon_of_three(folder: Path) -> Generator[People]:
    """A daemon on a new chain in this data folder, and its three users."""
    with daemon(folder) as running:

        def person(account_id: str) -> Person:
            made = near_agent_here(folder, "api-keys", "create", "--account", account_id)
            assert made.exit_code == 0, made.output
            return Person(running, made.stdout.strip())

        alice, bob, carol = (person(f"{name}.localnet") for name in ("alice", "bob", "carol"))
        yield People(alice, bob, carol, running)
