"""What somebody played lately, and what they play now."""
