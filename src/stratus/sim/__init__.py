"""The embedded cluster: a Kubernetes API, what runs behind it, and applications under load, on a clock of its own."""
