"""The accounts app: people, sessions, tokens; an ordinary app of the site (`mergepoint[login]`)."""
