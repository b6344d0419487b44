"""What people are told of an outcome: amounts in whole units where the token is known."""

from agent.answers import step_text
from contracts.chain.outcome import Effect, Execution, PartiallyExecuted
from contracts.chain.outcome_reader import change_text
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, CryptoHash

ALICE, BOB = AccountId("alice.localnet"), AccountId("bob.localnet")
BLOCK = CryptoHash.of(b"block")


def test_what_is_missing_is_told_in_whole_units_of_tokens_that_are_known() -> None:
    expected = (
        Effect(BOB, "usdc.localnet", 12_500_000),
        Effect(ALICE, "usdc.localnet", -12_500_000),
        Effect(BOB, "strange.localnet", 7, at_least=True),
        Effect(BOB, "NEAR", 10**24),
    )
    message = "; ".join(
        f"expected {change_text(one)} for {one.account_id}, which the receipts do not show" for one in expected
    )
    execution = Execution(BLOCK, 1, BLOCK, ALICE, BOB, None, (), (), 1, 1, effects_complete=True, expected=expected)
    told = step_text("send 12.5 USDC", PartiallyExecuted(execution, message), Registry.for_network("localnet"))
    for part in (
        "expected +12.5 USDC (usdc.localnet) for bob.localnet",
        "expected -12.5 USDC (usdc.localnet) for alice.localnet",
        "expected at least +7 base units of strange.localnet for bob.localnet",
        "expected +1 NEAR for bob.localnet",
    ):
        assert part in told
