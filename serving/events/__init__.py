"""Takes events: validates each, gives it its listener, and answers only when it is safe."""
