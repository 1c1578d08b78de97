"""The door that scrobblers for ListenBrainz know."""
