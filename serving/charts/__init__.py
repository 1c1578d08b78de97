"""Weekly charts and items, from the marts."""
