"""A twin of a cluster: an embedded one made from nothing but what a reader shows of another."""
