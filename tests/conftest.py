"""Settings that all tests share."""

from hypothesis import settings

# Shared machines stall for seconds: a property is judged by what it says, never by how long it took.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
