"""Which specialist serves."""
