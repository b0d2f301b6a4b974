"""Code: look into Git repositories with a browser; a Bottle app of its own."""
