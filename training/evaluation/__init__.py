"""Exact plans of a candidate on held-out lines."""
