"""Steps from an empty database to the tables of `store.models`, in the order of their numbers."""
