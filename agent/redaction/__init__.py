"""Secrets go out of every text before it is written, shown or sent."""
