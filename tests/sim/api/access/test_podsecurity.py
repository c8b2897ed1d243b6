"""Pod Security: what each level forbids, in the words of Kubernetes, and where it only warns."""

from typing import Any

import pytest

from stratus.sim.api import ApiServer, Request
from stratus.sim.api.access.podsecurity import violations, wanted
from stratus.sim.controllers.common import AdmissionDenied

GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def spec(security: Any = None, pod: Any = None, **more: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "c", "image": "nginx", **({"securityContext": security} if security else {})}
    container.update({k: more.pop(k) for k in ("ports",) if k in more})
    return {"containers": [container], **({"securityContext": pod} if pod else {}), **more}


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (spec(), []),
        (spec({"privileged": True}), ['privileged (container "c" must not set securityContext.privileged=true)']),
        (spec(hostNetwork=True, hostPID=True), ["host namespaces (hostNetwork=true, hostPID=true)"]),
        (spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), ['hostPath volumes (volume "v")']),
        (spec(ports=[{"hostPort": 80}, {"hostPort": 81}]), ['hostPort (container "c" uses hostPorts 80, 81)']),
        (spec({"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}}), ['non-default capabilities (container "c" must not include "NET_ADMIN" in securityContext.capabilities.add)']),  # noqa: E501
        (spec({"procMount": "Unmasked"}), ['procMount (container "c" must not set securityContext.procMount to "Unmasked")']),  # noqa: E501
        (spec(pod={"seccompProfile": {"type": "Unconfined"}}), ['seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")']),  # noqa: E501
        (spec(pod={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}), ["forbidden sysctls (kernel.msgmax)"]),
        (spec(pod={"seLinuxOptions": {"type": "spc_t", "user": "u"}}), ['seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)']),  # noqa: E501
        (spec({"appArmorProfile": {"type": "Unconfined"}}), ['forbidden AppArmor profile (container "c" must not set AppArmor profile type to "Unconfined")']),  # noqa: E501
    ],
)  # fmt: skip
def test_baseline(given: Any, want: list[str]) -> None:
    assert violations("baseline", given) == want
    assert violations("privileged", given) == []


def test_restricted() -> None:
    assert violations("restricted", spec(GOOD)) == []
    assert violations("restricted", spec()) == [
        'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)',
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])',
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
        'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")',
    ]
    assert violations("restricted", spec({**GOOD, "runAsUser": 0})) == [
        'runAsUser=0 (container "c" must not set runAsUser=0)'
    ]
    assert violations("restricted", spec({**GOOD, "runAsNonRoot": False})) == [
        'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)'
    ]
    host = spec(GOOD, volumes=[{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "emptyDir": {}}])
    assert violations("restricted", host) == [
        'restricted volume types (volume "v" uses restricted volume type "hostPath")'
    ]
    pod = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}
    inner = {k: GOOD[k] for k in ("allowPrivilegeEscalation", "capabilities")}
    assert violations("restricted", spec(inner, pod)) == []


def test_an_unknown_level_does_not_open_the_namespace() -> None:
    assert wanted({"pod-security.kubernetes.io/enforce": "restrcted"}, "enforce") == ("restricted", "latest")
    labels = {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.30"}
    assert wanted(labels, "enforce") == ("baseline", "v1.30")


def test_namespaces_enforce_on_pods_and_warn_on_what_makes_them(call: Any, api: ApiServer, make: Any) -> None:
    base = "/api/v1/namespaces/default"
    call("POST", f"{base}/pods", make.pod("old"))
    call("POST", f"{base}/pods", make.pod("older"))
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    patch = Request(
        "PATCH", base, {"content-type": "application/merge-patch+json"}, obj={"metadata": {"labels": labels}}
    )
    answer = api.handle(patch)
    assert answer.status == 200
    told = answer.headers["Warning"]  # type: ignore[union-attr]
    assert 'existing pods in namespace \\"default\\" violate the new PodSecurity enforce level' in told
    assert "old (and 1 other pod): allowPrivilegeEscalation != false, unrestricted capabilities" in told
    status, obj = call("POST", f"{base}/pods", make.pod("new"))
    assert status == 403
    assert obj["message"].startswith('pods "new" is forbidden: violates PodSecurity "restricted:latest": allowPriv')
    answer = api.handle(Request("POST", "/apis/apps/v1/namespaces/default/deployments", obj=make.deployment()))
    assert answer.status == 201
    assert 'would violate PodSecurity \\"restricted:latest\\"' in answer.headers["Warning"]  # type: ignore[union-attr]
    with pytest.raises(AdmissionDenied, match="violates PodSecurity"):
        api.admit_pod({"metadata": {"name": "w-1", "namespace": "default"}, "spec": spec()})
    # What is there already may go on changing in what does not matter here.
    patch = Request("PATCH", f"{base}/pods/old", {"content-type": "application/merge-patch+json"},
                    obj={"metadata": {"labels": {"a": "b"}}})  # fmt: skip
    assert api.handle(patch).status == 200
