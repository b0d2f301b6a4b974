"""Messages between apps: to all who listen, to one who works, ask and answer, who is there."""
