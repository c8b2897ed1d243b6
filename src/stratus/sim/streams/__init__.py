"""Streams between a client and a container: WebSocket channels, SPDY frames, terminals, forwarded ports."""
