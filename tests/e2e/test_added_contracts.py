"""`near-agent contract`: a contract's address becomes actions of the running daemon, by the command line alone."""

import json
from pathlib import Path

from agent.data_folder import OPERATOR_KEY, read_key
from tests.e2e.programs import daemon, near_agent_here


def test_a_contract_becomes_actions_from_its_address(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with daemon(folder) as running:
        unknown = running.say("/guestbook--localnet__add_message hello")
        assert unknown.facts["status"] == "refused"
        added = near_agent_here(folder, "contract", "add", "guestbook.localnet")
        assert added.exit_code == 0, added.output
        assert "/guestbook--localnet__add_message text [deposit] [gas]  (change)" in added.stdout
        assert "left out: __contract_abi" in added.stdout
        card = running.say("/guestbook--localnet__add_message 'hello from an action' deposit=0.1")
        assert card.facts["status"] == "needs_approval", card.text
        assert "call add_message of guestbook.localnet with 0.1 NEAR as alice.localnet" in card.text
        done = running.say(f"confirm {card.facts['confirm_code']}")
        assert done.facts["status"] == "executed", done.text
        assert done.facts["outcomes"][0]["action"] == "guestbook--localnet__add_message"
        read = running.say("/guestbook--localnet__get_messages")
        assert "hello from an action" in read.text
        assert "/guestbook--localnet__get_messages [from_index] [limit]" in running.say("/help").text
        listed = json.loads(near_agent_here(folder, "contract", "list", "--json").stdout)
        assert [(one["account_id"], one["unchanged"]) for one in listed["contracts"]] == [("guestbook.localnet", True)]
        refused = near_agent_here(folder, "contract", "add", "alice.localnet")
        assert refused.exit_code == 2, refused.output
        assert running.post("/v1/near/contracts", {"account_id": "usdc.localnet"}).status == 401  # the client's own key
        operator = f"Bearer {read_key(folder, OPERATOR_KEY)}"
        assert running.post("/v1/near/contracts", {"account": "x"}, Authorization=operator).status == 400
        # A card that waits for an action that is taken away is refused, not carried out.
        waiting = running.say("/guestbook--localnet__add_message 'second'")
        assert near_agent_here(folder, "contract", "remove", "guestbook.localnet").exit_code == 0
        late = running.say(f"confirm {waiting.facts['confirm_code']}")
        assert late.facts["status"] == "refused", late.text
        assert "was removed since it was planned" in late.text
        assert "no contract is added" in near_agent_here(folder, "contract", "list").stdout
    again = near_agent_here(folder, "contract", "add", "usdc.localnet", "--json")
    assert again.exit_code == 0, again.output
    assert "usdc--localnet__ft_transfer" in {action["action"] for action in json.loads(again.stdout)["actions"]}
