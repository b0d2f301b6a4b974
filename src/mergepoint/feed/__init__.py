"""What changed in a site's databases: triggers that log it, readers, and the service that tells."""
