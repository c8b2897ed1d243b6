"""Pods on nodes: environment, volumes, probes, restarts, images, what exec and logs show."""

from __future__ import annotations

import itertools
from typing import Any

import pytest


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "busybox:1.36", **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, **spec.pop("metadata", {})},
        "spec": {"containers": [container], **spec},
    }


def state(lab: Any, name: str = "p", index: int = 0) -> dict[str, Any]:
    return lab.get("Pod", name)["status"]["containerStatuses"][index]


def phase(lab: Any, name: str = "p") -> str:
    return lab.get("Pod", name)["status"]["phase"]


def sh(script: str) -> dict[str, Any]:
    return {"command": ["sh", "-c", script]}


def test_environment(lab: Any) -> None:
    lab.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"A": "1", "B": "two"}})
    lab.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"PW": "hush"}})
    lab.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "my-db"}, "spec": {"ports": [{"port": 5432}]}}
    )
    env = [
        {"name": "X", "value": "$(A)-x"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "PW"}}},
        {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "MAYBE", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    container = {
        "command": ["sleep", "infinity"], "env": env, "envFrom": [{"configMapRef": {"name": "cm"}, "prefix": ""}],
        "resources": {"limits": {"memory": "64Mi"}},
    }  # fmt: skip
    lab.apply(pod(container=container))
    lab.advance(3)
    shown = dict(line.split("=", 1) for line in lab.exec("p", ["env"]).stdout.splitlines())
    assert (shown["A"], shown["B"], shown["X"], shown["KEY"], shown["ME"]) == ("1", "two", "1-x", "hush", "p")
    assert shown["IP"] == lab.get("Pod", "p")["status"]["podIP"]
    assert shown["LIMIT"] == "64"
    assert "MAYBE" not in shown
    assert shown["MY_DB_SERVICE_PORT"] == "5432"
    assert shown["HOSTNAME"] == "p"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "no"}}}]}, "couldn't find key no in ConfigMap default/cm"),  # noqa: E501
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]}, 'secret "none" not found'),  # noqa: E501
        ({"envFrom": [{"configMapRef": {"name": "none"}}]}, 'configmap "none" not found'),
    ],
)  # fmt: skip
def test_missing_configuration(lab: Any, entry: dict[str, Any], message: str) -> None:
    lab.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"yes": "1"}})
    lab.apply(pod(container={"command": ["sleep", "infinity"], **entry}))
    lab.advance(5)
    assert state(lab)["state"] == {"waiting": {"reason": "CreateContainerConfigError", "message": message}}
    assert phase(lab) == "Pending"
    assert any(e["message"] == f"Error: {message}" for e in lab.events(reason="Failed"))


def test_volumes_and_files(lab: Any) -> None:
    lab.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"key": "v", "other": "o"}})
    volumes = [
        {"name": "c", "configMap": {"name": "cm", "items": [{"key": "key", "path": "sub/file"}]}},
        {"name": "e", "emptyDir": {}},
    ]
    mounts = [{"name": "c", "mountPath": "/etc/config"}, {"name": "e", "mountPath": "/scratch"}]
    second = {"name": "two", "image": "busybox:1.36", "command": ["sleep", "infinity"], "volumeMounts": mounts}
    first = pod(
        container={
            **sh("echo shared > /scratch/x; test -f /etc/config/sub/file && sleep infinity"),
            "volumeMounts": mounts,
        },
        volumes=volumes,
    )
    first["spec"]["containers"].append(second)
    lab.apply(first)
    lab.advance(5)
    assert phase(lab) == "Running"
    assert lab.exec("p", ["cat", "/etc/config/sub/file"]).stdout == "v"
    assert lab.exec("p", ["cat", "/scratch/x"], container="two").stdout == "shared\n"
    assert lab.exec("p", ["sh", "-c", "echo no > /etc/config/sub/file"]).exit_code != 0
    assert lab.exec("p", ["ls", "/etc/config"]).stdout == "sub\n"
    lab.patch("ConfigMap", "cm", {"data": {"key": "new"}}, how="merge")
    assert lab.exec("p", ["cat", "/etc/config/sub/file"]).stdout == "new"
    assert lab.exec("p", ["sh", "-c", "echo z > /tmp/mine; cat /tmp/mine"]).stdout == "z\n"
    assert lab.exec("p", ["cat", "/tmp/mine"]).stdout == "z\n"


def test_a_volume_key_that_is_missing(lab: Any) -> None:
    lab.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"key": "v"}})
    volumes = [{"name": "c", "configMap": {"name": "cm", "items": [{"key": "zz", "path": "f"}]}}]
    lab.apply(pod(container={"command": ["sleep", "9"]}, volumes=volumes))
    lab.advance(10)
    assert state(lab)["state"]["waiting"]["reason"] == "ContainerCreating"
    expected = 'MountVolume.SetUp failed for volume "c" : references non-existent config key: zz'
    assert [e["message"] for e in lab.events(reason="FailedMount")] == [expected]


def test_back_off_doubles_to_five_minutes(lab: Any) -> None:
    lab.apply(pod(container=sh("echo try; exit 1")))
    starts = []
    seen = -1
    for second in range(2400):
        lab.advance(1)
        count = state(lab)["restartCount"] if lab.get("Pod", "p")["status"].get("containerStatuses") else -1
        if count > seen:
            seen = count
            starts.append(second)
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    for gap, least in zip(gaps[1:], (10, 20, 40, 80, 160, 300, 300, 300), strict=False):
        assert least <= gap <= least + 20
    assert len(gaps) >= 8
    assert state(lab)["lastState"]["terminated"]["exitCode"] == 1
    assert lab.logs("p") == ["try"]
    assert lab.logs("p", previous=True) == ["try"]


def test_a_fixed_environment_ends_the_crash_loop(lab: Any) -> None:
    script = (
        'if [ "$MODE" != "production" ]; then echo "bad MODE: $MODE" >&2; exit 1; fi; exec httpd -f -p 8080 -h /tmp'
    )
    template = {
        "metadata": {"labels": {"app": "w"}},
        "spec": {
            "containers": [
                {"name": "app", "image": "busybox:1.36", **sh(script), "env": [{"name": "MODE", "value": "staging"}]}
            ]
        },
    }
    lab.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "w"},
            "spec": {"selector": {"matchLabels": {"app": "w"}}, "template": template},
        }
    )
    lab.advance(60)
    broken = lab.pods(app="w")[0]["metadata"]["name"]
    assert lab.logs(broken) == ["bad MODE: staging"]
    lab.kubectl(["set", "env", "deploy/w", "MODE=production"], "default")
    lab.advance(90)
    (fixed,) = lab.pods(app="w")
    assert fixed["status"]["containerStatuses"][0]["ready"]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["nosuchtool"], 'exec: "nosuchtool": executable file not found in $PATH: unknown'),
        (["/opt/none"], 'exec: "/opt/none": stat /opt/none: no such file or directory: unknown'),
    ],
)
def test_commands_that_do_not_exist(lab: Any, command: list[str], text: str) -> None:
    lab.apply(pod(container={"command": command}))
    lab.advance(5)
    assert state(lab)["state"]["waiting"]["reason"] == "RunContainerError"
    ended = state(lab)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert ended["message"].endswith(text)


def test_an_image_without_command_that_just_ends(lab: Any) -> None:
    lab.apply(pod(restartPolicy="Never"))
    lab.advance(10)
    assert phase(lab) == "Succeeded"
    lab.apply(pod("q"))
    lab.advance(40)
    assert state(lab, "q")["restartCount"] >= 1
    assert state(lab, "q")["lastState"]["terminated"]["reason"] == "Completed"


def test_images_that_need_a_password(lab: Any) -> None:
    lab.apply(pod(container={"image": "postgres:16"}))
    lab.advance(10)
    assert "superuser password is not specified" in lab.logs("p")[0]
    assert state(lab)["ready"] is False
    lab.apply(pod("good", container={"image": "postgres:16", "env": [{"name": "POSTGRES_PASSWORD", "value": "x"}]}))
    lab.advance(10)
    assert state(lab, "good")["ready"] is True


def test_too_little_memory_for_the_image(lab: Any) -> None:
    lab.apply(pod(container={"image": "mongo:7", "resources": {"limits": {"memory": "32Mi"}}}))
    lab.advance(10)
    reasons = {
        c.object["status"]["containerStatuses"][0]["state"].get("terminated", {}).get("reason")
        for _, c in lab.history
        if c.resource == "pods" and c.object["status"].get("containerStatuses")
    }
    assert "OOMKilled" in reasons


PROBE = {"periodSeconds": 2, "failureThreshold": 2}


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        ({"httpGet": {"path": "/nope", "port": 80}}, "HTTP probe failed with statuscode: 404"),
        ({"httpGet": {"path": "/", "port": 81}}, 'Get "http://IP:81/": dial tcp IP:81: connect: connection refused'),
        ({"tcpSocket": {"port": 9999}}, "dial tcp IP:9999: connect: connection refused"),
        ({"exec": {"command": ["sh", "-c", "echo why; exit 1"]}}, "why\n"),
        ({"exec": {"command": ["cat", "/tmp/absent"]}}, "cat: can't open '/tmp/absent': No such file or directory\n"),
        ({"exec": {"command": ["sleep", "5"]}}, 'command timed out: "sleep 5" timed out after 1s'),
    ],
)
def test_failing_readiness(lab: Any, probe: dict[str, Any], text: str) -> None:
    lab.apply(pod(container={"image": "nginx:1.25", "readinessProbe": {**probe, **PROBE}}))
    lab.advance(15)
    assert (phase(lab), state(lab)["ready"], state(lab)["restartCount"]) == ("Running", False, 0)
    ip = lab.get("Pod", "p")["status"]["podIP"]
    assert {e["message"] for e in lab.events(reason="Unhealthy")} == {
        f"Readiness probe failed: {text.replace('IP', ip)}"
    }


def test_startup_probe_holds_the_others_back(lab: Any) -> None:
    script = "sleep 8; touch /tmp/up; sleep infinity"
    container = {
        **sh("while [ ! -f /tmp/up ]; do sleep 1; done; sleep infinity"),
        "startupProbe": {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 30},
        "livenessProbe": {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 1},
    }
    assert script
    lab.apply(pod(container=container))
    lab.advance(10)
    assert (state(lab)["started"], state(lab)["restartCount"]) == (False, 0)
    lab.exec("p", ["touch", "/tmp/up"])
    lab.advance(3)
    assert (state(lab)["started"], state(lab)["ready"]) == (True, True)
    lab.exec("p", ["rm", "/tmp/up"])
    lab.advance(3)
    assert any("failed liveness probe" in e["message"] for e in lab.events(reason="Killing"))


def test_init_containers_wait_for_a_service(lab: Any) -> None:
    waiting = {
        "name": "wait",
        "image": "busybox:1.36",
        **sh("until nslookup db; do echo waiting for db; sleep 2; done"),
    }
    lab.apply(pod(container={"command": ["sleep", "infinity"]}, initContainers=[waiting]))
    lab.advance(30)
    assert phase(lab) == "Pending"
    stored = lab.get("Pod", "p")
    assert stored["status"]["initContainerStatuses"][0]["state"].get("running")
    lines = [
        text
        for _, text in lab.runtime.logs(
            stored, stored["spec"]["initContainers"][0], previous=False, since=None, limit=100
        )
    ]
    assert lines.count("waiting for db") > 5
    lab.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {"ports": [{"port": 80}]}})
    lab.advance(5)
    assert phase(lab) == "Running"


def test_logs_of_endless_loops_are_made_when_read(lab: Any) -> None:
    lab.apply(pod(container=sh("echo begin; while true; do echo tick; sleep 5; done")))
    lab.advance(3600)
    lines = lab.logs("p")
    assert lines[-1] == "tick"
    before = lab.store.rv
    assert lab.logs("p") == lines
    assert lab.store.rv == before
    stored = lab.get("Pod", "p")
    few = lab.runtime.logs(
        stored, stored["spec"]["containers"][0], previous=False, since=lab.clock.now() - 11, limit=100
    )
    assert len(few) == 2


def test_deletion_takes_the_grace_period_only_when_needed(lab: Any) -> None:
    lab.apply(pod("server", container={"image": "nginx:1.25"}))
    lab.apply(pod("stubborn", container={"command": ["sleep", "infinity"]}, terminationGracePeriodSeconds=20))
    lab.advance(10)
    lab.delete("Pod", "server")
    lab.delete("Pod", "stubborn")
    lab.advance(2)
    assert lab.get("Pod", "server") is None
    assert lab.get("Pod", "stubborn") is not None
    lab.advance(20)
    assert lab.get("Pod", "stubborn") is None


def test_exec_answers(lab: Any) -> None:
    lab.apply(pod(container={"command": ["sh", "-c", "sleep 3600"]}))
    lab.advance(3)
    assert lab.exec("p", ["echo", "hi"]).stdout == "hi\n"
    assert lab.exec("p", ["hostname"]).stdout == "p\n"
    assert "sh -c sleep 3600" in lab.exec("p", ["ps"]).stdout
    assert lab.exec("p", ["sh", "-c", "exit 3"]).exit_code == 3
    missing = lab.exec("p", ["nosuch"])
    assert (missing.exit_code, "executable file not found in $PATH" in missing.stderr) == (127, True)
    assert "etc" in lab.exec("p", ["ls", "/"]).stdout.split()
    assert lab.exec("p", ["cat", "/etc/resolv.conf"]).stdout.startswith("search default.svc.cluster.local")


def test_unknown_programs_keep_their_ports_when_the_spec_changes(lab: Any) -> None:
    def deployment(port: int) -> dict[str, Any]:
        probe = {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 2}
        container = {
            "name": "app",
            "image": "ghcr.io/acme/shop:1",
            "ports": [{"containerPort": port}],
            "readinessProbe": probe,
        }
        template = {"metadata": {"labels": {"app": "s"}}, "spec": {"containers": [container]}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "s"},
            "spec": {"selector": {"matchLabels": {"app": "s"}}, "template": template},
        }

    lab.apply(deployment(8080))
    lab.advance(20)
    assert lab.get("Deployment", "s")["status"]["availableReplicas"] == 1
    lab.patch(
        "Deployment",
        "s",
        [{"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe/httpGet/port", "value": 9999}],
        how="json",
    )
    lab.advance(60)
    newest = max(lab.pods(app="s"), key=lambda p: p["metadata"]["creationTimestamp"])
    assert newest["status"]["containerStatuses"][0]["ready"] is False
    assert any("connection refused" in e["message"] for e in lab.events(reason="Unhealthy"))


def test_pull_secrets(lab: Any) -> None:
    lab.apply(pod("without", container={"image": "secure.local/team/app:1"}))
    config = '{"auths": {"secure.local": {"auth": "eDp5"}}}'
    lab.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "pull"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": config},
        }
    )
    lab.apply(pod("with", container={"image": "secure.local/team/app:1"}, imagePullSecrets=[{"name": "pull"}]))
    lab.advance(10)
    assert state(lab, "without")["state"]["waiting"]["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert phase(lab, "with") == "Running"


def test_use_is_a_read(lab: Any) -> None:
    lab.apply(pod(container={"image": "nginx:1.25"}, metadata={"annotations": {"sim.stratus.dev/memory": "100Mi"}}))
    lab.advance(10)
    stored = lab.get("Pod", "p")
    one = lab.runtime.usage(stored, stored["spec"]["containers"][0])
    assert one == lab.runtime.usage(stored, stored["spec"]["containers"][0])
    assert 0.9 * 100 * 2**20 < one[1] < 1.1 * 100 * 2**20


WORKLOADS = [
    ({"image": "python:3.12-slim", "command": ["python", "-m", "http.server", "8080"]}, {8080}),
    ({"image": "hashicorp/http-echo:1.0", "args": ["-listen=:5679", "-text=hi"]}, {5679}),
    ({"image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["netexec", "--http-port=8081"]}, {8081}),
    ({"image": "ghcr.io/acme/shop:1", "command": ["/app/server", "--port=9000"]}, {9000}),
    ({"image": "ghcr.io/acme/shop:1", "env": [{"name": "PORT", "value": "7000"}]}, {7000}),
    ({"image": "redis:7", "args": ["--maxmemory", "64mb"]}, {6379}),
    ({"image": "busybox:1.36", "command": ["nc", "-lk", "-p", "8082"]}, {8082}),
    (
        {"image": "busybox:1.36", **sh("mkdir -p /www; echo ok > /www/index.html; exec httpd -f -p 8083 -h /www")},
        {8083},
    ),
    ({"image": "ubuntu:22.04", "command": ["/bin/bash", "-c", "echo hi && sleep infinity"]}, set()),
    ({"image": "registry.k8s.io/pause:3.9"}, set()),
]


@pytest.mark.parametrize(("container", "ports"), WORKLOADS)
def test_typical_servers(lab: Any, container: dict[str, Any], ports: set[int]) -> None:
    lab.apply(pod(container=container))
    lab.advance(10)
    stored = lab.get("Pod", "p")
    assert state(lab)["ready"] is True
    assert lab.runtime.listens(stored, stored["spec"]["containers"][0]) == ports


def test_pages_of_a_small_web_server(lab: Any) -> None:
    lab.apply(pod(container=sh("mkdir -p /www; echo home > /www/index.html; exec httpd -f -p 80 -h /www")))
    lab.apply(pod("client", container={"command": ["sleep", "infinity"]}))
    lab.advance(5)
    ip = lab.get("Pod", "p")["status"]["podIP"]
    assert lab.exec("client", ["wget", "-qO-", f"http://{ip}/"]).stdout == "home\n"
    assert lab.exec("client", ["wget", "-qO-", f"http://{ip}/none"]).exit_code == 1


def test_a_server_listens_where_its_own_configuration_says(lab: Any) -> None:
    """One container of an image differs from another by what was mounted into it, or written before it began."""

    def probed(name: str, port: int, **more: Any) -> dict[str, Any]:
        spec = {k: more.pop(k) for k in ("volumes",) if k in more}
        probe = {"tcpSocket": {"port": port}, "periodSeconds": 1}
        return pod(name, container={"image": "nginx:1.25", "readinessProbe": probe, **more}, **spec)

    lab.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a.conf": "listen 8081;"}}
    )
    lab.apply(probed("plain", 80))
    lab.apply(
        probed(
            "mounted",
            8081,
            volumeMounts=[{"name": "v", "mountPath": "/etc/nginx/conf.d"}],
            volumes=[{"name": "v", "configMap": {"name": "conf"}}],
        )
    )
    script = "echo 'server { listen 8082; }' > /etc/nginx/conf.d/default.conf; exec nginx -g 'daemon off;'"
    lab.apply(probed("written", 8082, command=["sh", "-c", script]))
    lab.apply(probed("again", 80))
    lab.advance(20)
    assert [name for name in ("plain", "mounted", "written", "again") if not state(lab, name)["ready"]] == []
