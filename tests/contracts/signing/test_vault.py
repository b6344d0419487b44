"""One signature for one step of one grant, within the caps; and the journal that remembers it."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.calls import ApproverSignature, DelegateAction, FunctionCall, Grant, Transfer
from contracts.errors import SigningError
from contracts.signing.approvals import approval_message
from contracts.signing.caps import ApproverSection, Caps, NearCap, TokenCap
from contracts.signing.journal import DAY_S, NATIVE, Entry, Journal
from contracts.signing.keypair import SecretKey
from contracts.signing.messages import Message, delegate_hash, encode_delegate_payload, message_hash
from contracts.signing.signatures import verify
from contracts.signing.signer import delegate_step, message_step
from contracts.signing.transaction import combine_digests, transaction_hash
from contracts.types import AccountId, Gas, PublicKey, Yocto
from tests.contracts.signing.signing_world import ALICE, BOB, NEAR, bytes_of, change, grant_for, open_vault, transfer
from tests.doubles import Clock


def test_the_same_bytes_get_the_same_signature_and_no_others_any(tmp_path: Path) -> None:
    with open_vault(tmp_path) as opened:
        call = transfer()
        data, grant = bytes_of(opened.key, call), grant_for(call)
        signature = opened.sign(data, grant)
        assert verify(opened.key, transaction_hash(data).raw, signature)
        assert opened.sign(data, grant) == signature
        for other in (bytes_of(opened.key, call, nonce=8), bytes_of(opened.key, call, block=b"another")):
            with pytest.raises(SigningError) as caught:
                opened.sign(other, grant)
            assert caught.value.code == "step_signed"
    with open_vault(tmp_path) as again:
        assert again.sign(data, grant) == signature
        with pytest.raises(SigningError, match="with other bytes"):
            again.sign(other, grant)


def test_a_step_that_is_approved_twice_is_signed_twice(tmp_path: Path) -> None:
    with open_vault(tmp_path) as opened:
        grant = grant_for(transfer(1), transfer(2), transfer(1))
        for nonce, amount in enumerate((1, 1, 2)):
            opened.sign(bytes_of(opened.key, transfer(amount), nonce=nonce), grant)
        for amount in (1, 2):
            with pytest.raises(SigningError, match="with other bytes"):
                opened.sign(bytes_of(opened.key, transfer(amount), nonce=9), grant)


def test_a_grants_name_stands_for_one_set_of_calls(tmp_path: Path) -> None:
    with open_vault(tmp_path) as opened:
        opened.sign(bytes_of(opened.key, transfer(1)), grant_for(transfer(1)))
        with pytest.raises(SigningError) as caught:
            opened.sign(bytes_of(opened.key, transfer(2)), grant_for(transfer(2)))
        assert caught.value.code == "grant_mismatch"
        opened.sign(bytes_of(opened.key, transfer(2)), grant_for(transfer(2), name="g2"))


@pytest.mark.parametrize(
    ("network", "chain_id", "fine"),
    [
        ("localnet", "localnet", True),
        ("localnet", "sandbox", True),
        ("localnet", "mainnet", False),
        ("testnet", "testnet", True),
        ("testnet", "mainnet", False),
        ("mainnet", "localnet", False),
    ],
)
def test_a_networks_keys_sign_for_their_own_chain(network: str, chain_id: str, fine: bool, tmp_path: Path) -> None:  # noqa: FBT001
    known = {"localnet": "localnet", "testnet": "testnet", "mainnet": "mainnet"}
    with open_vault(tmp_path, network=known[network]) as opened:  # pyright: ignore[reportArgumentType]
        data, grant = bytes_of(opened.key, transfer()), grant_for(transfer(), chain_id=chain_id)
        if fine:
            assert opened.sign(data, grant)
        else:
            with pytest.raises(SigningError, match="is for chain"):
                opened.sign(data, grant)


def test_sums_of_the_day_hold_over_restarts_and_clocks_that_go_back(tmp_path: Path) -> None:
    caps, clock = Caps(near=NearCap(per_day="3")), Clock()
    with open_vault(tmp_path, caps, clock=clock) as opened:
        for name in ("a", "b"):
            grant = grant_for(transfer(), name=name, expires_at=2e9)
            data = bytes_of(opened.key, transfer())
            assert opened.sign(data, grant) == opened.sign(data, grant)
        assert opened.journal.spent(NATIVE, clock()) == 2 * NEAR
    clock.now -= 10 * DAY_S
    with open_vault(tmp_path, caps, clock=clock) as opened:
        opened.sign(bytes_of(opened.key, transfer()), grant_for(transfer(), name="c", expires_at=2e9))
        with pytest.raises(SigningError) as caught:
            opened.sign(bytes_of(opened.key, transfer(1)), grant_for(transfer(1), name="d", expires_at=2e9))
        assert caught.value.code == "over_cap"
        assert "24 hours is above 3" in caught.value.message
        clock.now += 10 * DAY_S + DAY_S
        opened.sign(bytes_of(opened.key, transfer()), grant_for(transfer(), name="d", expires_at=2e9))


def approver(number: int) -> SecretKey:
    return SecretKey.generate(lambda size: bytes([number]) * size)


def approved_by(grant: Grant, *approvers: SecretKey) -> Grant:
    digest = message_hash(approval_message(grant.grant_id, grant.calls_hash, grant.chain_id, grant.signer_id))
    signed = tuple(ApproverSignature(one.public_key, one.sign_digest(digest)) for one in approvers)
    return replace(grant, approvals=signed)


def test_above_the_caps_approvers_sign_for_this_grant_and_no_other(tmp_path: Path) -> None:
    one, two, stranger = approver(1), approver(2), approver(3)
    caps = Caps(
        near=NearCap(per_transaction="0.5", per_day="1"),
        approvers=ApproverSection(needed=2, public_keys=(one.public_key, two.public_key)),
    )
    with open_vault(tmp_path, caps) as opened:
        data, grant = bytes_of(opened.key, transfer()), grant_for(transfer())
        other = grant_for(transfer(), name="g2")
        wrong_hash = replace(grant, approvals=approved_by(grant_for(transfer(2)), one, two).approvals)
        for attempt in (
            grant,
            approved_by(grant, one),
            approved_by(grant, one, one),
            approved_by(grant, one, stranger),
            replace(grant, approvals=approved_by(other, one, two).approvals),
            wrong_hash,
            replace(grant, approvals=(ApproverSignature(one.public_key, b""), ApproverSignature(two.public_key, b"x"))),
        ):
            with pytest.raises(SigningError) as caught:
                opened.sign(data, attempt)
            assert caught.value.code == "over_cap"
        assert opened.sign(data, approved_by(grant, stranger, two, one))
        assert opened.journal.spent(NATIVE, opened.clock()) == 0


def test_signatures_that_were_handed_in_count_when_the_grant_is_used(tmp_path: Path) -> None:
    one, two, stranger = approver(1), approver(2), approver(3)
    caps = Caps(
        near=NearCap(per_transaction="0.5"),
        approvers=ApproverSection(needed=2, public_keys=(one.public_key, two.public_key)),
    )
    grant = grant_for(transfer())
    other = approved_by(grant_for(transfer(), name="g2"), two).approvals[0]
    with open_vault(tmp_path, caps) as opened:
        with opened.journal.batch():
            with pytest.raises(SigningError, match="not among the approvers"):
                opened.vault.endorse("g1", approved_by(grant, stranger).approvals[0])
            assert opened.vault.endorse("g1", approved_by(grant, one).approvals[0]) == (1, 2)
            assert opened.vault.endorse("g1", other) == (2, 2)
        with pytest.raises(SigningError, match="1 of 2 approvers"):
            opened.sign(bytes_of(opened.key, transfer()), grant)
        with opened.journal.batch():
            assert opened.vault.endorse("g1", approved_by(grant, two).approvals[0]) == (2, 2)
    with open_vault(tmp_path, caps) as opened:
        assert opened.sign(bytes_of(opened.key, transfer()), grant)


def test_without_approvers_the_caps_are_hard(tmp_path: Path) -> None:
    usdc = AccountId("usdc.localnet")
    caps = Caps(tokens={usdc: TokenCap(decimals=6, per_transaction="1")})
    with open_vault(tmp_path, caps) as opened:
        call = change(usdc, FunctionCall("ft_transfer", b'{"amount":"1000001"}', Gas(1), Yocto(1)))
        with pytest.raises(SigningError, match="no approvers are named"):
            opened.sign(bytes_of(opened.key, call), grant_for(call))
        assert opened.sign(bytes_of(opened.key, transfer(10**30)), grant_for(transfer(10**30)))


MESSAGE = Message('{"intents":[]}', "intents.near", bytes(32))


def _grant_of(digest: str) -> Grant:
    return replace(
        grant_for(transfer()),
        grant_id="m1",
        call_digests=(digest,),
        calls_hash=combine_digests("localnet", ALICE, (digest,)),
    )


def test_messages_and_delegate_actions_need_a_grant_of_their_own(tmp_path: Path) -> None:
    action = DelegateAction(ALICE, BOB, (Transfer(Yocto(1)),), 5, 1000, PublicKey.from_bytes("ed25519", bytes(32)))
    with open_vault(tmp_path) as opened, opened.journal.batch():
        vault, key = opened.vault, opened.key
        grant = _grant_of(message_step(ALICE, MESSAGE).digest)
        signature = vault.sign_message(ALICE, key, MESSAGE, grant)
        assert verify(key, message_hash(MESSAGE), signature)
        assert vault.sign_message(ALICE, key, MESSAGE, grant) == signature
        for other in (replace(MESSAGE, nonce=bytes([1]) * 32), replace(MESSAGE, recipient="x.near")):
            with pytest.raises(SigningError, match="does not cover this message"):
                vault.sign_message(ALICE, key, other, grant)
        with pytest.raises(SigningError, match="does not cover"):
            vault.sign(bytes_of(key, transfer()), grant)
        ours = replace(action, public_key=key)
        grant = replace(_grant_of(delegate_step(ours).digest), grant_id="d1")
        signature = vault.sign_delegate(encode_delegate_payload(ours), grant)
        assert verify(key, delegate_hash(ours), signature)
        for changed in (replace(ours, nonce=6), replace(ours, max_block_height=2000)):
            with pytest.raises(SigningError):
                vault.sign_delegate(encode_delegate_payload(changed), grant)


def test_messages_are_money_where_there_are_caps(tmp_path: Path) -> None:
    grant = _grant_of(message_step(ALICE, MESSAGE).digest)
    caps = Caps(near=NearCap(per_day="1"), message_recipients=("app.near",))
    with open_vault(tmp_path, caps) as opened, opened.journal.batch():
        with pytest.raises(SigningError, match="a message to"):
            opened.vault.sign_message(ALICE, opened.key, MESSAGE, grant)
        harmless = replace(MESSAGE, recipient="app.near")
        grant = _grant_of(message_step(ALICE, harmless).digest)
        assert opened.vault.sign_message(ALICE, opened.key, harmless, grant)


def test_the_key_of_a_new_account_is_on_disk_and_stays_the_same(tmp_path: Path) -> None:
    dave = AccountId("dave.localnet")
    with open_vault(tmp_path) as opened:
        key = opened.vault.new_key(dave)
        assert opened.vault.new_key(dave) == key
        path = opened.folders.first_path(dave)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_vault(tmp_path) as opened:
        assert opened.vault.new_key(dave) == key
        with pytest.raises(SigningError) as caught:
            opened.vault.generate(dave)
        assert caught.value.code == "key_exists"
        second, _ = opened.vault.generate(dave, more=True)
        assert set(opened.vault.public_keys(dave)) == {key, second}
        opened.vault.retire(dave, key)
        assert opened.vault.public_keys(dave) == (second,)


def test_a_batch_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    entry = Entry("g", 0, "h", "transaction", ALICE, "key", "1", "00")
    with Journal.open(tmp_path / "journal.sqlite") as journal:

        def interrupted() -> None:
            with journal.batch():
                journal.record(entry, {NATIVE: 5}, 100.0)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            interrupted()
        assert journal.of_grant("g") == {}
        assert journal.spent(NATIVE, 100.0) == 0
        with journal.batch():
            journal.record(entry, {NATIVE: 5}, 100.0)
        with pytest.raises(SigningError) as caught, journal.batch():
            journal.record(entry, {NATIVE: 5}, 100.0)
        assert caught.value.code == "journal_failed"
        assert journal.spent(NATIVE, 100.0) == 5
    assert stat.S_IMODE((tmp_path / "journal.sqlite").stat().st_mode) == 0o600
    (tmp_path / "damaged").write_bytes(b"not a database" * 100)
    with pytest.raises(SigningError), Journal.open(tmp_path / "damaged"):
        pass


@settings(max_examples=25)
@given(
    spent=st.lists(
        st.tuples(st.integers(0, 200_000), st.sampled_from(["NEAR", "usdc.near"]), st.integers(1, 2**128)), max_size=12
    )
)
def test_the_sums_are_those_of_the_last_24_hours(
    spent: list[tuple[int, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    latest = 0
    kept: list[tuple[int, str, int]] = []
    with Journal.open(path) as journal, journal.batch():
        for number, (at, token, amount) in enumerate(spent):
            latest = max(latest, at)
            kept.append((latest, token, amount))
            journal.record(Entry(f"g{number}", 0, "h", "t", "a", "k", "1", "00"), {token: amount}, float(at))
        wanted = {
            token: sum(amount for at, of, amount in kept if of == token and at > latest - DAY_S)
            for token in ("NEAR", "usdc.near")
        }
        assert {token: journal.spent(token, 0.0) for token in wanted} == wanted
    with Journal.open(path) as again:
        assert {token: again.spent(token, 0.0) for token in wanted} == wanted
