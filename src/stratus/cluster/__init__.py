"""Ports to the cluster, their implementation on the official client, and the kubectl grammar."""
