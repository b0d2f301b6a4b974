"""From mergepoint.toml to a checked site, with every error at once."""
