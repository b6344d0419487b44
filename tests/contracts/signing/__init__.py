"""Tests of contracts.signing."""
