"""Who is who: a client's own user id becomes a random listener id here and goes no further."""
