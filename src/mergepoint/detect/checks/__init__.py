"""One file per kind of trouble; each holds pure functions from subjects to findings."""
