"""Replays recordings of a real Kubernetes and says where the embedded cluster differs."""
