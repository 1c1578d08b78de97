"""Finds items by name, with typing errors."""
