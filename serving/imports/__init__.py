"""Files that people bring: taken in here, carried out elsewhere."""
