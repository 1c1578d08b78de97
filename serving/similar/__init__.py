"""What goes well with an item."""
