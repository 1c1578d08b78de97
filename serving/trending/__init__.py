"""What is played most right now."""
