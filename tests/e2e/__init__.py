"""The whole platform, as a person runs it."""
