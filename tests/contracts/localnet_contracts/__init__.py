"""Tests of the contracts that the embedded chain starts with."""
