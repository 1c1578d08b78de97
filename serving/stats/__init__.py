"""How somebody listens, from the marts."""
