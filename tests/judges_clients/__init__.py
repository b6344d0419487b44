"""Other people's clients on the embedded chain, every answer they get judged."""
