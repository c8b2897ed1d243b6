"""The kubelets of all nodes: they turn bound pods into running containers and report what becomes of them."""
