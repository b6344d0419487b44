"""The tables of the one SQL store. Migrations create them; a test holds the two together.

Amounts and nonces are TEXT where they can pass 2**63-1 (yoctoNEAR is u128, a nonce u64); nonces are padded with zeros to 20
digits, so that text order is number order. Times are Unix seconds. JSON is TEXT.
"""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

METADATA: Final = MetaData()

META: Final = Table(
    "meta",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

RUNNING: Final = Table(
    "running",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("request", Text, nullable=False),
)
"""Requests that have begun and have no record yet; `run_id` is one opening of the store."""

PREAMBLES: Final = Table(
    "preambles",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("text", Text, nullable=False),
)
"""The agent's own part of prompts, redacted; written with the first record that names it and never deleted."""

RECORDS: Final = Table(
    "records",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("request_id", Text, nullable=False, unique=True),
    Column("received_at", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("front_end", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("conversation_id", Text, nullable=False),
    Column("idempotency_hash", Text),
    Column("message_hash", Text),
    Column("calls_hash", Text),
    Column("approval_of", Text),
    Column("repeats", Text),
    Column("record", Text, nullable=False),
    Column("preamble", Text, ForeignKey("preambles.digest")),
    Index("records_by_idempotency", "key_id", "idempotency_hash", sqlite_where=text("idempotency_hash IS NOT NULL")),
    Index("records_by_message", "key_id", "message_hash", sqlite_where=text("message_hash IS NOT NULL")),
    Index("records_by_approval", "approval_of", sqlite_where=text("approval_of IS NOT NULL")),
)
"""One InteractionRecord each, redacted; `seq` rises in the order of finishing. `preamble`: the one that its exchanges name."""

GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("grant_id", Text, primary_key=True),
    Column("calls_hash", Text, nullable=False),
    Column("call_digests", Text, nullable=False),
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("granted_at", Float, nullable=False),
    Column("voided_at", Float),
)

INTENTS: Final = Table(
    "intents",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("intent_id", Text, nullable=False, unique=True),
    Column("request_id", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("receiver_id", Text, nullable=False),
    Column("deposit_yocto", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("calls_hash", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("grant_id", Text, ForeignKey("grants.grant_id")),
    Column("tx_hash", Text, unique=True),
    Column("data", LargeBinary),
    Column("public_key", Text),
    Column("nonce", Text),
    Column("reference_hash", Text),
    Column("reference_height", Integer),
    Column("outcome", Text),
    Column("nonce_index", Integer),
    Column("fences", Text),
    Column("review", Text),
    Column("codes", Text),
    Index("intents_by_request", "request_id", "step"),
    Index("intents_by_state", "state"),
    Index("intents_by_calls", "calls_hash"),
    Index("intents_by_lane", "signer_id", "public_key", "nonce"),
    Index("intents_by_fenced", "fences", sqlite_where=text("fences IS NOT NULL")),
)

GRANT_STEPS: Final = Table(
    "grant_steps",
    METADATA,
    Column("grant_id", Text, ForeignKey("grants.grant_id"), nullable=False),
    Column("intent_id", Text, ForeignKey("intents.intent_id"), nullable=False),
    Column("consumed_at", Float),
    PrimaryKeyConstraint("grant_id", "intent_id"),
)
"""Which intents a grant covers; each is consumed once."""

NONCES: Final = Table(
    "nonces",
    METADATA,
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("baseline", Text),
    Column("baseline_height", Integer),
    PrimaryKeyConstraint("chain_id", "signer_id", "public_key"),
)
"""The highest nonce of each lane; `public_key` is the lane's name, with `#` and an index for a gas key's. `baseline`: the
nonce on chain when the lane was first seen, or last acknowledged, with the block's height; later ones must be ours."""

FOREIGN_USES: Final = Table(
    "foreign_uses",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("known_nonce", Text, nullable=False),
    Column("chain_nonce", Text, nullable=False),
    Column("found_at", Float, nullable=False),
    Column("acknowledged_at", Float),
    Index(
        "foreign_uses_open",
        "chain_id",
        "signer_id",
        "public_key",
        unique=True,
        sqlite_where=text("acknowledged_at IS NULL"),
    ),
)
"""Lanes whose nonce on chain was above every one of ours; blocked until acknowledged."""

SIGNED_MESSAGES: Final = Table(
    "signed_messages",
    METADATA,
    Column("message_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("max_block_height", Integer),
    Column("grant_id", Text, ForeignKey("grants.grant_id"), nullable=False, unique=True),
    Column("digest", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("issued_at", Float, nullable=False),
    Index("signed_messages_by_request", "request_id"),
)
"""NEP-413 messages and delegate actions that were signed; each can move money, each took a grant."""

CARDS: Final = Table(
    "cards",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("conversation_id", Text, nullable=False),
    Column("turn_hash", Text, nullable=False),
    Column("code_hash", Text, nullable=False),
    Column("calls_hash", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("resolved_at", Float),
    Column("card", Text, nullable=False),
    Index("cards_by_code", "key_id", "code_hash"),
    Index("cards_by_turn", "key_id", "turn_hash"),
    Index("cards_pending", "key_id", sqlite_where=text("status = 'pending'")),
)

APPROVALS: Final = Table(
    "approvals",
    METADATA,
    Column("request_id", Text, ForeignKey("cards.request_id"), nullable=False),
    Column("identity", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("at", Float, nullable=False),
    PrimaryKeyConstraint("request_id", "identity"),
)
"""Who has approved a card that needs more than one; each identity counts once."""

SPENDING: Final = Table(
    "spending",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("intent_id", Text, ForeignKey("intents.intent_id"), nullable=False),
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("units", Text, nullable=False),
    Column("free", Boolean, nullable=False),
    Column("at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("payer_id", Text),
    Index("spending_by_time", "chain_id", "signer_id", "at"),
    Index("spending_reserved", "chain_id", "signer_id", "token", "at", sqlite_where=text("state = 'reserved'")),
    Index("spending_by_intent", "intent_id"),
)
"""What each transaction has `reserved` or `spent` of NEAR or a token (`released`: it is dead); units with 39 digits.
`payer_id`: who pays it, where that is not the signer."""

SPENT_TOTALS: Final = Table(
    "spent_totals",
    METADATA,
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("whose", Text, nullable=False),
    Column("free", Boolean, nullable=False),
    Column("at", Float, nullable=False),
    Column("total", Text, nullable=False),
    PrimaryKeyConstraint("chain_id", "signer_id", "token", "whose", "free", "at"),
)
"""Running totals of what `spending` says was spent: by everybody (`whose` is empty) and by each identity, in all and of what
went out without asking (`free`). Base units as digits, as many as they need."""

KNOWN_ACCOUNTS: Final = Table(
    "known_accounts",
    METADATA,
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("look", Text),
    PrimaryKeyConstraint("chain_id", "signer_id", "account_id"),
    Index("known_accounts_by_look", "chain_id", "signer_id", "look"),
)
"""Whom a signer has paid or called before, with a final outcome; `look` is the same for ids that look the same."""

USED_CODES: Final = Table(
    "used_codes",
    METADATA,
    Column("chain_id", Text, nullable=False),
    Column("signer_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("code_hash", Text, nullable=False),
    Column("used_at", Float, nullable=False),
    PrimaryKeyConstraint("chain_id", "signer_id", "account_id"),
)
"""The code that a contract had when a signer's last final transaction with it was approved."""

WRONG_CODES: Final = Table(
    "wrong_codes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("wrong_codes_by_key", "key_id", "at"),
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("key_hash", Text, nullable=False, unique=True),
    Column("account_id", Text, nullable=False),
    Column("may_confirm", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)
