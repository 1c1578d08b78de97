"""Measures the platform against bare code that does the same work, on its own broker and its own lake."""
