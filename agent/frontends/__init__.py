"""What faces the outside: the OpenAI-compatible API."""
