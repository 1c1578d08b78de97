"""Where events come from: a seeded synthetic world with known counts, and data sets from files."""
