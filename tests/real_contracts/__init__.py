"""Tests against contracts that others wrote and compiled."""
