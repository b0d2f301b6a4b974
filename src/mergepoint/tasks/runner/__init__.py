"""The process that runs tasks: it holds leases, its children hold user code."""
