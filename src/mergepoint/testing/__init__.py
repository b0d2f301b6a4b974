"""Sites in a test: a bus in memory, time that is moved, faults that are asked for."""
