"""How a call gets there once: RPC, nonces, ledger, outcome, client."""
