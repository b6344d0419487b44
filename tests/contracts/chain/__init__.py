"""Tests of contracts.chain."""
