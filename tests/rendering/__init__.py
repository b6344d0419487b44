"""Texts of the daemon, drawn by Markdown renderers as people see them."""
