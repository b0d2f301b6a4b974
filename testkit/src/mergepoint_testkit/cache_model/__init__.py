"""The cache protocol in small: random schedules of a database, a hub, two edges and their clients.

Every promise is checked after every step, every rule can be switched off. `decisions` holds what an
edge and the hub decide, as pure functions: the edge is compared with it.
"""
