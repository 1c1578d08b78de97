"""The ledger for people: every message that came, and what became of it."""
