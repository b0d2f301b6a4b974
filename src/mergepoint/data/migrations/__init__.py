"""Each app's migrations: alembic's, one runner at a time, half-done ones told."""
