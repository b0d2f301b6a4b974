"""An app's databases: one pool each, one transaction per request, SQL methods, documents."""
