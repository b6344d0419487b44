"""The commands of near-agent. Heavy imports stand inside them, so that help and a running daemon answer at once."""
