"""From a site to the edge's snapshot, and the control channel to the binary."""
