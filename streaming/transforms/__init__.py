"""Pure transforms: a DataFrame in, a DataFrame out; no session, no clock, no settings."""
