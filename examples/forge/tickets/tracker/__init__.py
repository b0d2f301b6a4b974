"""Tickets: what is wrong, what is wanted and who is on it; a Flask app of its own."""
