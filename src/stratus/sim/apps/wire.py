"""What a caller is told when a call does not come through, in the words of each protocol's usual client."""

from __future__ import annotations

from stratus.sim.network import NoSuchHost, Refused, TimedOut

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
    if protocol == "thrift":
        return f"TTransportException: {_thrift(connection, host, port)}"
    if protocol == "postgresql":
        if isinstance(connection, NoSuchHost):
            return f'could not translate host name "{host}" to address: Name or service not known'
        why = "Connection timed out" if isinstance(connection, TimedOut) else "Connection refused"
        return f'connection to server at "{host}" ({connection.address}), port {port} failed: {why}'
    if protocol == "redis":
        if isinstance(connection, NoSuchHost):
            return f"Error -2 connecting to {host}:{port}. Name or service not known."
        why = "110 connecting to {}. Connection timed out." if isinstance(connection, TimedOut) else ""
        return "Error " + (why or "111 connecting to {}. Connection refused.").format(f"{host}:{port}")
    if protocol == "kafka":
        return f"kafka: client has run out of available brokers to talk to: {cause}"
    return cause


def _thrift(connection: NoSuchHost | Refused | TimedOut, host: str, port: int) -> str:
    if isinstance(connection, NoSuchHost):
        return "Could not resolve host for client socket."
    if isinstance(connection, Refused):
        return f"socket open() error: Connection refused (Host: {host} Port: {port})"
    return f"open() timed out (Host: {host} Port: {port})"


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
    if protocol == "thrift":
        return "TTransportException: THRIFT_EAGAIN (timed out)"
    if protocol == "postgresql":
        return "canceling statement due to user request: timeout"
    if protocol == "redis":
        return f"Timeout reading from {host}:{port}"
    if protocol == "kafka":
        return "kafka: request timed out before a broker acknowledged the message"
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
    if protocol == "thrift":
        return f"TApplicationException: Invalid method name: '{operation}' (the server is {program})"
    return f"unexpected answer from {program}"


def turned_away(protocol: str) -> str:
    """Return the client's error text when the process at the other end has no room for another request."""
    if protocol == "grpc":
        return "rpc error: code = ResourceExhausted desc = too many requests waiting"
    if protocol == "http":
        return "503 Service Unavailable: too many requests waiting"
    if protocol == "thrift":
        return "TTransportException: No more data to read. (server overloaded)"
    if protocol == "postgresql":
        return "FATAL: sorry, too many clients already"
    if protocol == "redis":
        return "ERR max number of clients reached"
    return "connection closed by the server: too many connections"


def cut_off(protocol: str, host: str, port: int) -> str:
    """Return the client's error text when the other end dies with the request under way."""
    if protocol == "grpc":
        return "rpc error: code = Unavailable desc = error reading from server: EOF"
    if protocol == "thrift":
        return "TTransportException: No more data to read."
    if protocol == "http":
        return f'Get "http://{host}:{port}/": read tcp: connection reset by peer'
    if protocol == "postgresql":
        return "server closed the connection unexpectedly"
    return f"read tcp {host}:{port}: connection reset by peer"


def no_connection(target: str, pool: int, seconds: float) -> str:
    """Return what a program says when all connections of its pool are taken for too long."""
    return f"connection pool of {target} exhausted: none of {pool} free within {seconds:g} s"


def not_tls(protocol: str, host: str, port: int) -> str:
    """Return the client's error text when the server wants TLS and the client does not speak it."""
    if protocol == "mongodb":
        return f"No suitable servers found: [connection closed calling hello on '{host}:{port}']"
    return f"connection to {host}:{port} closed by the server (it requires TLS)"


__all__ = [
    *("Reached", "cut_off", "failure", "misunderstood", "no_connection", "not_tls", "too_late", "turned_away"),
    "wait_of",
]
