"""Fine-tuning jobs in OpenAI's wire format, against any base URL."""
