"""How alike two causal models are, token by token."""
