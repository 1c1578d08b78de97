"""How old everything is that the API serves, and which step is the late one."""
