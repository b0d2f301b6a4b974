"""What queries cost: repeated, slow, without an index; while somebody develops."""
