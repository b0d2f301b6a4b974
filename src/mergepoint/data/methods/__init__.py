"""`.sql` files become typed functions."""
