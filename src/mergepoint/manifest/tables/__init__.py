"""The shape of the manifest: what a person may write, key by key."""
