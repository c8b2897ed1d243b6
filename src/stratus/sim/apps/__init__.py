"""Applications of the embedded cluster: what their programs do is data, what becomes of it is computed."""
