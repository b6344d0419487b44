"""Attacks on the daemon, each of which would cost money, a secret or the service."""
