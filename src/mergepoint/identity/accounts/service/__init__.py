"""What the accounts app does: plain classes that are handed clock, store and settings."""
