"""One file per command; each holds exactly one public name, `command`."""
