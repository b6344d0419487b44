"""Transaction bytes, keys and the one door to a signature."""
