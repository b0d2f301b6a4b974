"""A public test of any HTTP cache: does a purge that was acknowledged hold?

`python -m mergepoint_testkit.cache_race` starts an origin of its own, which the cache under test
has to be in front of. docs/how-to/cache-race.md tells how.
"""
