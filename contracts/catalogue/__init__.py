"""What can be asked for: one declaration per action, one file per domain."""
