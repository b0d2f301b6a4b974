"""Where the records of tasks are kept: in SQLite (the hub's, or a test's) or reached through it."""
