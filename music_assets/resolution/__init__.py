"""Which ids mean the same artist or track: spellings of one name, and the same recording under two sources' ids."""
