"""Which controllers a control plane runs, in the order in which they hear of a change."""

from __future__ import annotations

from stratus.sim.controllers.accounts import AccountController
from stratus.sim.controllers.attaching import AttachController
from stratus.sim.controllers.autoscaling import AutoscalerController
from stratus.sim.controllers.base import Controller
from stratus.sim.controllers.clusterdns import ClusterDns
from stratus.sim.controllers.cronjob import CronJobController
from stratus.sim.controllers.daemonset import DaemonSetController
from stratus.sim.controllers.deployment import DeploymentController
from stratus.sim.controllers.disruption import DisruptionController
from stratus.sim.controllers.endpoints import EndpointsController
from stratus.sim.controllers.gc import GarbageCollector
from stratus.sim.controllers.ingresses import IngressController
from stratus.sim.controllers.job import JobController
from stratus.sim.controllers.kubeproxy import KubeProxies
from stratus.sim.controllers.mirroring import MirroringController
from stratus.sim.controllers.namespaces import NamespaceController
from stratus.sim.controllers.nodes import NodeController
from stratus.sim.controllers.quota import QuotaController
from stratus.sim.controllers.replicaset import ReplicaSetController
from stratus.sim.controllers.resizing import ResizeController
from stratus.sim.controllers.statefulset import StatefulSetController
from stratus.sim.controllers.volumes import VolumeController

CONTROLLERS: tuple[type[Controller], ...] = (
    NamespaceController,
    AccountController,
    GarbageCollector,
    NodeController,
    VolumeController,
    AttachController,
    ResizeController,
    DeploymentController,
    ReplicaSetController,
    StatefulSetController,
    DaemonSetController,
    JobController,
    CronJobController,
    EndpointsController,
    MirroringController,
    IngressController,
    DisruptionController,
    QuotaController,
    AutoscalerController,
    ClusterDns,
    KubeProxies,
)
