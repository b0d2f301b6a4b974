"""Join a site to its running parts: the only place that knows all of them."""
