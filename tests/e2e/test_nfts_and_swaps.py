"""NFTs of three people and swaps on the exchange, through the daemon, each step seen in the answers that follow it."""

from collections.abc import Generator

import pytest

from tests.e2e.people import People, daemon_of_three


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Generator[People]:
    with daemon_of_three(tmp_path_factory.mktemp("nfts") / "data") as three:
        yield three


@pytest.mark.shows("nft_mint", "embedded")
@pytest.mark.shows("nft_token", "embedded")
@pytest.mark.shows("nft_tokens", "embedded")
@pytest.mark.shows("nft_transfer", "embedded")
def test_a_token_is_minted_shown_and_sent(people: People) -> None:
    assert "There is no NFT “1” of nft.localnet." in people.bob.told("/nft_token nft.localnet 1")
    assert "owns no NFTs" in people.bob.told("/nft_tokens nft.localnet bob.localnet")
    card, _ = people.alice.done("/nft_mint nft.localnet 1 receiver_id=bob.localnet title='The <harbour>'")
    assert "mint NFT “1” of nft.localnet “The ‹harbour›” for bob.localnet" in card
    assert "the contract sends back what it does not need" in card
    assert "NFT “1” of nft.localnet “The ‹harbour›” belongs to bob.localnet." in people.carol.told(
        "/nft_token nft.localnet 1"
    )
    assert "there is NFT “1” of nft.localnet already" in people.alice.refused("/nft_mint nft.localnet 1")
    assert "owns 1 of nft.localnet: “1”: “The ‹harbour›”" in people.bob.told("/nft_tokens nft.localnet @me")
    assert "belongs to bob.localnet, not to alice.localnet" in people.alice.refused(
        "/nft_transfer nft.localnet 1 carol.localnet"
    )
    assert "owns NFT “1” of nft.localnet already" in people.bob.refused("/nft_transfer nft.localnet 1 bob.localnet")
    assert "nobody.localnet does not exist" in people.bob.refused("/nft_transfer nft.localnet 1 nobody.localnet")
    assert "has no token “9”" in people.bob.refused("/nft_transfer nft.localnet 9 carol.localnet")
    assert "is no NFT contract" in people.bob.refused("/nft_transfer usdc.localnet 1 carol.localnet")
    card, done = people.bob.done("/nft_transfer nft.localnet 1 carol.localnet memo='for you'")
    assert "carol.localnet has NFT “1” of nft.localnet" in card
    assert "carol.localnet has NFT “1” of nft.localnet." in done.text
    assert "send NFT “1” of nft.localnet “The ‹harbour›” to carol.localnet" in card
    assert "memo: “for you”" in card.lower()
    assert "belongs to carol.localnet" in people.bob.told("/nft_token nft.localnet 1")


@pytest.mark.shows("nft_mint", "embedded")
def test_whom_the_contract_does_not_let_mint_is_told_so(people: People) -> None:
    answer = people.bob.say("/nft_mint nft.localnet 2")
    if answer.facts["status"] == "needs_approval":  # where nothing is simulated before the card
        answer = people.bob.say(f"confirm {answer.facts['confirm_code']}")
    assert answer.facts["status"] in {"failed", "refused"}
    assert "Unauthorized" in answer.text


@pytest.mark.shows("nft_approve", "embedded")
@pytest.mark.shows("nft_revoke", "embedded")
@pytest.mark.shows("nft_transfer", "embedded")
def test_an_approval_lets_another_send_it_until_it_is_revoked(people: People) -> None:
    people.alice.done("/nft_mint nft.localnet deed")
    assert "is not approved" in people.alice.refused("/nft_revoke nft.localnet deed bob.localnet")
    card, _ = people.alice.done("/nft_approve nft.localnet deed bob.localnet")
    assert "let bob.localnet transfer NFT “deed” of nft.localnet" in card
    assert "may then send this NFT to anyone" in card
    assert "These may transfer it: bob.localnet." in people.carol.told("/nft_token nft.localnet deed")
    assert "not to bob.localnet" in people.bob.refused("/nft_approve nft.localnet deed carol.localnet")
    people.alice.done("/nft_revoke nft.localnet deed bob.localnet")
    assert "belongs to alice.localnet, not to bob.localnet" in people.bob.refused(
        "/nft_transfer nft.localnet deed carol.localnet"
    )
    people.alice.done("/nft_approve nft.localnet deed bob.localnet")
    card, _ = people.bob.done("/nft_transfer nft.localnet deed carol.localnet")
    assert "bob.localnet is approved to transfer it" in card
    assert "belongs to carol.localnet" in people.bob.told("/nft_token nft.localnet deed")


@pytest.mark.shows("swap_quote", "embedded")
@pytest.mark.shows("swap", "embedded")
def test_a_swap_registers_first_and_gives_at_least_what_the_card_says(people: People) -> None:
    quote = people.carol.told("/swap_quote USDC wNEAR 100")
    assert "100 USDC (usdc.localnet) would give 19." in quote
    assert "through pool 0 (USDC to wNEAR)" in quote
    people.alice.done("/ft_transfer USDC carol.localnet 100")
    card, done = people.carol.done("/swap USDC wNEAR 50")
    assert "swap 50 USDC (usdc.localnet) for at least 9.9" in card
    assert "wNEAR (wrap.localnet) on exchange.localnet, for carol.localnet" in card
    assert "egisters carol.localnet with wrap.localnet (0.00125 NEAR)" in card
    assert "below the least amount nothing is swapped and the tokens come back" in card.lower()
    assert done.facts["status"] == "executed"
    assert "carol.localnet has 50 USDC" in people.carol.told("/ft_balance USDC @me")
    assert "carol.localnet has 9.9" in people.carol.told("/ft_balance wNEAR @me")


@pytest.mark.shows("swap", "embedded")
def test_two_pools_where_none_holds_both_tokens(people: People) -> None:
    people.bob.done("/near_wrap 3")
    card, _ = people.bob.done("/swap wNEAR USDT 2 slippage_percent=1")
    assert "through pool 0 (wNEAR to USDC) and pool 1 (USDC to USDT)" in card
    assert "bob.localnet has 1 wNEAR" in people.bob.told("/ft_balance wNEAR @me")
    assert "bob.localnet has 10009.9" in people.bob.told("/ft_balance USDT @me")


@pytest.mark.shows("swap", "embedded")
@pytest.mark.shows("swap_quote", "embedded")
def test_what_a_swap_refuses(people: People) -> None:
    assert "near_wrap" in people.alice.refused("/swap NEAR USDC 1")
    assert "both tokens are USDC" in people.alice.refused("/swap USDC usdc.localnet 1")
    assert "allows at most 5%" in people.alice.refused("/swap USDC USDT 1 slippage_percent=5.1")
    assert "not a percentage" in people.alice.refused("/swap USDC USDT 1 slippage_percent=0.00001")
    assert "would move the price by" in people.alice.refused("/swap USDC USDT 200000")
    assert "too precise" in people.alice.refused("/swap USDC USDT 0.0000001")
    assert "moves nothing" in people.alice.refused("/swap_quote USDC USDT 0")
    assert "no pools by which" in people.alice.refused("/swap_quote USDC USDT 0.000001")
    assert "is not a token contract" in people.alice.refused("/swap USDC guestbook.localnet 1")


def test_a_price_that_falls_between_card_and_confirmation_is_asked_again(people: People) -> None:
    card = people.alice.card("/swap USDT USDC 100 slippage_percent=0.01")
    people.bob.done("/swap USDT USDC 5000 slippage_percent=1")
    before = people.alice.told("/ft_balance USDT @me")
    again = people.alice.say(f"confirm {card.facts['confirm_code']}")
    assert again.facts["status"] == "needs_approval", again.text
    assert again.facts["calls_hash"] != card.facts["calls_hash"]
    assert "for at least 98.9" in again.text
    assert people.alice.told("/ft_balance USDT @me") == before
    done = people.alice.say(f"confirm {again.facts['confirm_code']}")
    assert done.facts["status"] == "executed", done.text
    assert people.alice.told("/ft_balance USDT @me") != before
