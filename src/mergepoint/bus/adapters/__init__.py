"""One file for each engine; only `mergepoint.assembly` names them."""
