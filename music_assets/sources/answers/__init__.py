"""What sources answer: one module of typed shapes and pure parsers per source, tested against recorded answers."""
