"""Whether the API and the parts behind it answer."""
