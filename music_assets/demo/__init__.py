"""The demo: starts the stack, sends a world whose counts are known, and checks what became of it."""
