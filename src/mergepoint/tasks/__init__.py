"""Functions that run outside the request: tried again, in order, on time, and never lost."""
