"""Whole sites, recorders and raw clients for tests of Mergepoint and of apps on it."""
