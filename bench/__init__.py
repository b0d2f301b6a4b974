"""Ratios to the peers of the field: python -m bench [p1 p2 p10 p11 p12] [--quick]."""
