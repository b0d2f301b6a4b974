"""The wiki itself: pages with a history; a Django app."""
