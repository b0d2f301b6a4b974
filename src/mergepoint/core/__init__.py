"""What every package may use: clock, endpoints, errors."""
