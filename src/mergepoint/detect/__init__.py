"""What kind of application lies in a directory, found without running any of it."""
