"""The databases a feed can read; each in its own files, named by the scheme of its address."""
