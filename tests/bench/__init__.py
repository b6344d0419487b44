"""Speed and memory next to their budgets: `python -m tests.bench` prints tables and never fails on time."""
