"""What vLLM's own server answers: recorded by `record.sh`, and replayed."""
