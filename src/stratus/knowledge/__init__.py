"""Knowledge: runbooks and past incidents, retrieved with citations."""
