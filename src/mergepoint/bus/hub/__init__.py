"""The embedded engine: one process that alone owns the file of the bus."""
