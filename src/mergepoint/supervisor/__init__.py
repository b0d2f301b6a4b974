"""Plan, start, watch and replace every process of a site."""
