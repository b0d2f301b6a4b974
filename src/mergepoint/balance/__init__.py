"""CPU and I/O side by side: work moved off the loop, shared with it, or spread over processes."""
