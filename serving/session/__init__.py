"""Signing in to the web page and out."""
