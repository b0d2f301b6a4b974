"""Other people's queues beside Mergepoint's: Django's tasks on it, Celery as a member of a site."""
