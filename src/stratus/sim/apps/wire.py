"""What a caller is told when a call does not come through, in the words of each protocol's usual client."""

from __future__ import annotations

from stratus.sim.network import NoSuchHost, Reached, Refused, TimedOut

#: Seconds until a failed connection is noticed (a timeout takes as long as the caller waits).
REFUSED_AFTER, UNKNOWN_AFTER = 0.001, 0.004


def failure(connection: NoSuchHost | Refused | TimedOut, protocol: str, host: str, port: int) -> str:
    """Return the client's error text for a connection that was not made."""
    if isinstance(connection, NoSuchHost):
        cause = f"dial tcp: lookup {host} on 10.96.0.10:53: no such host"
    elif isinstance(connection, Refused):
        cause = f"dial tcp {connection.address}:{port}: connect: connection refused"
    else:
        cause = f"dial tcp {connection.address}:{port}: i/o timeout"
    if protocol == "grpc":
        if isinstance(connection, TimedOut):
            return (
                "rpc error: code = DeadlineExceeded desc = context deadline exceeded while waiting for connections "
                f'to become ready: last connection error: connection error: desc = "transport: {cause}"'
            )
        text = f'connection error: desc = "transport: Error while dialing: {cause}"'
        return f"rpc error: code = Unavailable desc = {text}"
    if protocol == "mongodb":
        return (
            f"server selection error: server selection timeout, current topology: {{ Type: Unknown, Servers: "
            f"[{{ Addr: {host}:{port}, Type: Unknown, Last error: {cause} }}] }}"
        )
    if protocol == "memcached":
        if isinstance(connection, TimedOut):
            return f"memcache: connect timeout to {host}:{port}"
        return f"memcache: no servers configured or available: {cause}"
    if protocol == "http":
        return f'Get "http://{host}:{port}/": {cause}'
    return cause


def wait_of(connection: NoSuchHost | Refused | TimedOut, timeout: float) -> float:
    """Return the seconds after which a caller knows that a connection was not made."""
    if isinstance(connection, TimedOut):
        return timeout
    return UNKNOWN_AFTER if isinstance(connection, NoSuchHost) else REFUSED_AFTER


def too_late(protocol: str, host: str, port: int) -> str:
    """Return the client's error text when the answer takes too long."""
    if protocol == "grpc":
        return "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
    if protocol == "memcached":
        return f"memcache: read timeout from {host}:{port}"
    if protocol == "http":
        why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return f'Get "http://{host}:{port}/": {why}'
    return f"connection({host}:{port}) incomplete read of message header: context deadline exceeded"


def misunderstood(protocol: str, program: str, operation: str) -> str:
    """Return the client's error text when the process at the other end is not what the caller takes it for."""
    if protocol == "grpc":
        return f"rpc error: code = Unimplemented desc = unknown method {operation} (the server is {program})"
    if protocol == "http":
        return f"404 page not found ({operation})"
    return f"unexpected answer from {program}"


__all__ = ["Reached", "failure", "misunderstood", "too_late", "wait_of"]
