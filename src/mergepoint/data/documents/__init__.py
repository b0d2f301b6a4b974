"""JSON documents in collections, with MongoDB's query language, beside the tables."""
