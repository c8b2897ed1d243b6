"""The API of an embedded cluster: what a real Kubernetes API server answers, decided without sockets."""

from stratus.sim.api.messages import ADMIN, ANONYMOUS, Request, Response, Upgrade, User
from stratus.sim.api.server import ApiServer
from stratus.sim.api.status import ApiError
from stratus.sim.api.watch import Watch

__all__ = ["ADMIN", "ANONYMOUS", "ApiError", "ApiServer", "Request", "Response", "Upgrade", "User", "Watch"]
