"""What an operator looks at: dead letters, topics, streams, models, sources."""
