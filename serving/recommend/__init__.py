"""Recommendations for a listener, down a ladder that always ends at something honest."""
