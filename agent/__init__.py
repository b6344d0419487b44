"""The daemon: from a request in words to an outcome on chain and a record of it."""
