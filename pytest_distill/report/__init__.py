"""How it is told: one module a format, from the ledger alone."""
