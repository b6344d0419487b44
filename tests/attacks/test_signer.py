"""A daemon that was taken over has the signer's socket and nothing else: what it can have signed, and what not."""

import base64
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from agent.commands.endorsing import covered
from contracts.calls import (
    AddKey,
    ApproverSignature,
    ChangeCall,
    Delegate,
    DelegateAction,
    DeleteAccount,
    DeployContract,
    FullAccess,
    FunctionCall,
    Grant,
    Transfer,
)
from contracts.errors import SigningError
from contracts.signing.approvals import approval_message
from contracts.signing.caps import Caps, NearCap, TokenCap, default_caps
from contracts.signing.keypair import SecretKey
from contracts.signing.messages import message_hash
from contracts.types import AccountId, Gas, PublicKey, Yocto
from tests.contracts.signing.signing_world import ALICE, BOB, NEAR, bytes_of, change, grant_for, open_vault, transfer
from tests.e2e.programs import daemon, near_agent_here

MALLORY = AccountId("mallory.localnet")
USDC = AccountId("usdc.localnet")
KEY = PublicKey.from_bytes("ed25519", bytes(32))
CAPS = Caps(
    near=NearCap(per_transaction="1", per_day="3"),
    tokens={USDC: TokenCap(decimals=6, per_transaction="10", per_day="20")},
    other_tokens="approvers",
    other_calls="approvers",
)


def test_forged_grants_drain_no_more_than_a_day_allows(tmp_path: Path) -> None:
    """Nobody approved any of it: the daemon makes its own grants."""
    with open_vault(tmp_path, CAPS) as opened:
        signed = 0
        for number in range(50):
            call = transfer(NEAR, MALLORY)
            with suppress(SigningError):
                opened.sign(bytes_of(opened.key, call, nonce=number), grant_for(call, name=f"forged {number}"))
                signed += 1
        assert signed == 3


@pytest.mark.parametrize(
    "action",
    [
        AddKey(PublicKey.from_bytes("ed25519", bytes(32)), FullAccess()),
        DeleteAccount(MALLORY),
        FunctionCall("ft_transfer", b'{"receiver_id":"mallory.localnet","amount":"10000001"}', Gas(1), Yocto(1)),
        FunctionCall("nft_transfer", b"{}", Gas(1), Yocto(1)),
        Transfer(Yocto(NEAR + 1)),
    ],
    ids=["a key of its own", "the whole account", "tokens", "an unknown method", "a yocto too much"],
)
@pytest.mark.parametrize("caps", [CAPS, default_caps("mainnet")], ids=["set", "default of mainnet"])
def test_what_no_cap_covers_is_not_signed(
    tmp_path: Path, caps: Caps, action: AddKey | DeleteAccount | FunctionCall | Transfer
) -> None:
    call = change(USDC, action) if caps is CAPS else change(USDC, action, Transfer(Yocto(5 * NEAR)))
    with open_vault(tmp_path, caps) as opened, pytest.raises(SigningError) as caught:
        opened.sign(bytes_of(opened.key, call), grant_for(call))
    assert caught.value.code == "over_cap"


def test_one_approval_is_not_turned_into_two_transfers(tmp_path: Path) -> None:
    """Other nonce, other block, other key of the account, another name for the same transaction."""
    with open_vault(tmp_path) as opened:
        call = transfer()
        grant = grant_for(call)
        opened.sign(bytes_of(opened.key, call), grant)
        second = opened.vault.generate(ALICE, more=True)[0]
        for data in (
            bytes_of(opened.key, call, nonce=8),
            bytes_of(opened.key, call, block=b"b"),
            bytes_of(second, call, nonce=1),
        ):
            with pytest.raises(SigningError) as caught:
                opened.sign(data, grant)
            assert caught.value.code == "step_signed"


def test_a_grant_is_not_stretched_over_other_bytes(tmp_path: Path) -> None:
    with open_vault(tmp_path) as opened:
        grant = grant_for(transfer(1))
        stretched: list[tuple[Grant, bytes]] = [
            (grant, bytes_of(opened.key, transfer(2))),
            (grant, bytes_of(opened.key, transfer(1, MALLORY))),
            (grant, bytes_of(opened.key, change(BOB, *transfer(1).actions, *transfer(1).actions))),
            (replace(grant, call_digests=grant_for(transfer(2)).call_digests), bytes_of(opened.key, transfer(2))),
            (replace(grant, chain_id="mainnet"), bytes_of(opened.key, transfer(1))),
            (replace(grant, expires_at=0.0), bytes_of(opened.key, transfer(1))),
            (replace(grant, signer_id=BOB), bytes_of(opened.key, transfer(1))),
        ]
        for forged, data in stretched:
            with pytest.raises(SigningError) as caught:
                opened.sign(data, forged)
            assert caught.value.code in {"grant_mismatch", "grant_expired"}


def test_above_the_caps_an_approvers_own_signature_decides(tmp_path: Path) -> None:
    """On a running daemon: refused, endorsed with a wallet's key for that card alone, carried out."""
    folder = tmp_path / "data"
    wallet = SecretKey.generate()
    (folder / "signer").mkdir(parents=True)
    caps = f'[near]\nper_transaction = "0.5"\n[approvers]\npublic_keys = ["{wallet.public_key}"]\n'
    (folder / "signer" / "caps.toml").write_text(caps)
    with daemon(folder) as running:
        small = running.say("/near_transfer bob.localnet 0.5")
        assert running.say(f"confirm {small.facts['confirm_code']}").facts["status"] == "executed"
        card = running.say("/near_transfer bob.localnet 1")
        refused = running.say(f"confirm {card.facts['confirm_code']}")
        assert refused.facts["status"] == "failed"
        assert "1 NEAR is above 0.5 per transaction" in refused.text
        card = running.say("/near_transfer bob.localnet 1")
        request_id = card.facts["request_id"]
        shown = json.loads(near_agent_here(folder, "endorse", request_id, "--json").stdout)
        made = approval_message(f"grant:{request_id}", card.facts["calls_hash"], "localnet", ALICE)
        assert shown["message"]["message"] == made.message
        assert shown["calls"][0]["receiver_id"] == BOB
        assert shown["calls"][0]["actions"][0]["deposit"] == str(NEAR)
        signature = tmp_path / "signature.json"
        for key, code in ((SecretKey.generate(), 2), (wallet, 0)):
            approval = ApproverSignature(key.public_key, key.sign_digest(message_hash(made)))
            content = {"public_key": key.public_key, "signature": base64.b64encode(approval.signature).decode()}
            signature.write_text(json.dumps(content))
            done = near_agent_here(folder, "endorse", request_id, "--signature", str(signature))
            assert done.exit_code == code, done.output
        assert running.say(f"confirm {card.facts['confirm_code']}").facts["status"] == "executed"
        assert running.terminate() == 0


def test_a_card_that_lies_does_not_hide_from_an_approver_what_is_signed() -> None:
    """The daemon writes the card's text; what the approver's signature covers is shown from the calls that are hashed."""
    args = b'{"receiver_id":"mallory.localnet","amount":"1"}'
    inner = DelegateAction(ALICE, USDC, (FunctionCall("ft_transfer", args, Gas(1), Yocto(1)),), 1, 2, KEY)
    calls = (change(USDC, Delegate(inner, bytes(64)), FunctionCall("x", b"\xff", Gas(1), Yocto(0))),)
    shown = covered(TypeAdapter(tuple[ChangeCall, ...]).dump_python(calls, mode="json"))
    delegate, raw = shown[0]["actions"]
    assert json.loads(delegate["delegate_action"]["actions"][0]["args"])["receiver_id"] == MALLORY
    assert raw["args"] == "/w=="
    code = TypeAdapter(tuple[ChangeCall, ...]).dump_python((change(ALICE, DeployContract(bytes(10_000))),), mode="json")
    assert "sha256" in covered(code)[0]["actions"][0]["code"]
