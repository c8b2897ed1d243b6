"""The controllers of the embedded cluster: each turns one key into writes that bring objects nearer to their spec."""
