"""Messages that exist if and only if the transaction they were sent in committed."""
