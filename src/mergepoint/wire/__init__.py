"""Bytes without sockets: the envelope of a message, and how values become bytes."""
