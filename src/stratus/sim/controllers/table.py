"""Which controllers a control plane runs, in the order in which they hear of a change."""

from __future__ import annotations

from stratus.sim.controllers.base import Controller
from stratus.sim.controllers.deployment import DeploymentController
from stratus.sim.controllers.endpoints import EndpointsController
from stratus.sim.controllers.gc import GarbageCollector
from stratus.sim.controllers.namespaces import NamespaceController
from stratus.sim.controllers.replicaset import ReplicaSetController

CONTROLLERS: tuple[type[Controller], ...] = (
    NamespaceController,
    GarbageCollector,
    DeploymentController,
    ReplicaSetController,
    EndpointsController,
)
