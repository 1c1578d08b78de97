"""Quality as data: results of checks and tests with their history, and who is told when one turns."""
