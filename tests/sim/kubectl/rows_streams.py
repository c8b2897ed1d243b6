"""Rows: logs, exec, attach, cp, port-forward, proxy, debug."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

from .bench import Kube, Section, holds, same

logs = Section("Logs")
streams = Section("Exec, attach, copy, forward, debug")

TALK = "while true; do echo line of mine; sleep 1; done"


def talker(k: Kube, name: str = "talk") -> None:
    """Create a pod that writes a line a second."""
    k.pod(name, image="busybox:1.36", command=["sh", "-c", TALK])


@logs("logs POD", "`--tail`, `--since`, `--timestamps`, `--limit-bytes`", quick=True)
def _(k: Kube) -> None:
    app = k.cluster.namespace
    pod = next(p["metadata"]["name"] for p in k.all("pods", app) if p["metadata"]["name"].startswith("frontend"))
    lines = k(["logs", pod, "-n", app, "--tail=3"]).lines
    same(len(lines), 3, "lines")
    stamped = k(["logs", pod, "-n", app, "--tail=2", "--timestamps"]).lines
    holds(all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z ", line) for line in stamped), f"{stamped}")
    holds(len(k(["logs", pod, "-n", app, "--limit-bytes=10"]).out) <= 10, "more than 10 bytes")
    every = k(["logs", pod, "-n", app]).lines
    holds(len(k(["logs", pod, "-n", app, "--since=10s"]).lines) < len(every), "--since shows everything")


@logs("logs -c, --all-containers, --prefix", "init and other containers; which must be named")
def _(k: Kube) -> None:
    spec = {
        "initContainers": [{"name": "first", "image": "busybox:1.36", "command": ["sh", "-c", "echo from first"]}],
        "containers": [
            {"name": "a", "image": "busybox:1.36", "command": ["sh", "-c", "echo from a; sleep 10000"]},
            {"name": "b", "image": "busybox:1.36", "command": ["sh", "-c", "echo from b; sleep 10000"]},
        ],
    }
    k.post(f"/api/v1/namespaces/{k.namespace}/pods", {"metadata": {"name": "two"}, "spec": spec})
    k.settle()
    k("logs two -c b").is_("from b")
    k("logs two").says("from a").warns('Defaulted container "a" out of: a, b, first (init)')
    same(sorted(k("logs two --all-containers").lines), ["from a", "from b", "from first"])
    same(
        sorted(k("logs two --all-containers --prefix").lines),
        ["[pod/two/a] from a", "[pod/two/b] from b", "[pod/two/first] from first"],
    )
    k("logs two -c none", code=1).warns("container none is not valid for pod two")


@logs("logs --previous", "of the run before; none before the first restart")
def _(k: Kube) -> None:
    k.pod("crash", image="busybox:1.36", command=["sh", "-c", "echo boom; exit 1"])
    k.settle(30)
    k("logs crash -p").is_("boom")
    k.pod("fine")
    k("logs fine -p", code=1).warns('previous terminated container "fine" in pod "fine" not found')


@logs("logs deploy/NAME, job/NAME, -l, --all-pods", "pods of a workload, by label")
def _(k: Kube) -> None:
    k("create job j --image=busybox:1.36 -- echo from job")
    k.settle(30)
    k("logs job/j").is_("from job")
    k([*"create deployment talk --image=busybox:1.36 --replicas=2 -- sh -c".split(), "echo hi; sleep 10000"])  # noqa: SIM905
    k.settle()
    k("logs deploy/talk").is_("hi").warns("Found 2 pods, using pod/talk-")
    same(len(k("logs deploy/talk --all-pods --prefix").lines), 2)
    same(k("logs -l app=talk").lines, ["hi", "hi"])
    k("logs -l app=none").warns("No resources found")


@logs("logs of a container that waits", "why there are none yet")
def _(k: Kube) -> None:
    k.pod("bad", image="nginx:does-not-exist")
    k("logs bad", code=1).warns('container "bad" in pod "bad" is waiting to start:')
    k("logs none", code=1).warns('pods "none" not found')


@logs("logs -f", "new lines arrive while it runs")
def _(k: Kube) -> None:
    talker(k)
    with k.running("logs -f talk --tail=1 --timestamps") as process:
        stamps = [process.line().split()[0] for _ in range(3)]
        same(stamps, sorted(set(stamps)), "moments of the lines")


@streams("exec POD -- COMMAND", "output, error output and exit code of the command", quick=True)
def _(k: Kube) -> None:
    k.pod("solo", image="busybox:1.36", command=["sleep", "10000"], env=[{"name": "A", "value": "b"}])
    k("exec solo -- echo hello").is_("hello")
    k("exec solo -- env").says("A=b", "HOSTNAME=solo")
    done = k(["exec", "solo", "--", "sh", "-c", "echo out; echo err >&2; exit 3"], code=3)
    done.is_("out").warns("err", "command terminated with exit code 3")
    k("exec none -- ls", code=1).warns('pods "none" not found')
    k("exec deploy/none -- ls", code=1).warns('deployments.apps "none" not found')


@streams("exec -i", "standard input reaches the command, to its end")
def _(k: Kube) -> None:
    k.pod("solo", image="busybox:1.36", command=["sleep", "10000"])
    k("exec -i solo -- cat", stdin="one\ntwo\n").is_("one\ntwo")
    k(["exec", "-i", "solo", "--", "sh", "-c", "cat > /tmp/x && wc -l < /tmp/x"], stdin="a\nb\nc\n").is_("3")


@streams("exec -c, deploy/NAME", "a container by name; the pod of a workload")
def _(k: Kube) -> None:
    k.web()
    k("exec deploy/web -c nginx -- echo hi").is_("hi")
    k("exec deploy/web -c none -- echo hi", code=1).warns("container none is not valid for pod")


@streams("attach", "output of the running process from now on")
def _(k: Kube) -> None:
    talker(k)
    with k.running("attach talk") as process:
        shown = [process.line() for _ in range(2)]
        holds(all(line == "line of mine\n" for line in shown), f"{shown}")


@streams("cp to a pod", "a file and a folder arrive")
def _(k: Kube) -> None:
    k.pod("solo", image="busybox:1.36", command=["sleep", "10000"])
    k.file("out/a.txt", "alpha\n")
    k.file("out/deep/b.txt", "beta\n")
    k("cp out/a.txt solo:/tmp/a.txt")
    k("exec solo -- cat /tmp/a.txt").is_("alpha")
    k("cp out solo:/tmp/all")
    k("exec solo -- cat /tmp/all/deep/b.txt").is_("beta")


@streams("cp from a pod", "a file comes back as it was")
def _(k: Kube) -> None:
    k.pod("solo", image="busybox:1.36", command=["sleep", "10000"])
    k(["exec", "solo", "--", "sh", "-c", "echo gamma > /tmp/g.txt"])
    k(f"cp {k.namespace}/solo:/tmp/g.txt back.txt")
    same((k.folder / "back.txt").read_text(), "gamma\n")


@streams("port-forward", "to a pod and to a service: the application answers; a port where nothing listens")
def _(k: Kube) -> None:
    k.web()
    k("expose deployment web --port=8080 --target-port=80")
    for target in ("deploy/web 0:80", "svc/web 0:8080"):
        with k.running(f"port-forward {target}") as process:
            port = int(re.findall(r"127\.0\.0\.1:(\d+)", process.line())[0])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                same(answer.status, 200)


@streams("proxy", "the API over plain HTTP, with the kubeconfig's rights; `--api-prefix`, `--reject-paths`")
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    with k.running("proxy --port=0 --reject-paths=.*secrets.*") as process:
        port = int(re.findall(r"127\.0\.0\.1:(\d+)", process.line())[0])
        base = f"http://127.0.0.1:{port}/api/v1/namespaces/{k.namespace}"
        with urllib.request.urlopen(f"{base}/configmaps/c", timeout=20) as answer:
            holds(b'"a":"1"' in answer.read(), "another object")
        try:
            urllib.request.urlopen(f"{base}/secrets", timeout=20).close()
        except urllib.error.HTTPError as error:
            same(error.code, 403)
            error.close()
        else:
            holds(False, "a rejected path was served")


@streams("debug POD --image --target", "an ephemeral container starts in the pod")
def _(k: Kube) -> None:
    k.pod("solo")
    k("debug solo --image=busybox:1.36 --target=solo -c dbg --profile=general -- sleep 1000")
    k.settle()
    pod = k.get("pods", "solo")
    same(
        (pod["spec"]["ephemeralContainers"][0]["name"], pod["spec"]["ephemeralContainers"][0]["targetContainerName"]),
        ("dbg", "solo"),
    )
    holds("running" in pod["status"]["ephemeralContainerStatuses"][0]["state"], f"{pod['status']}")


@streams("debug POD --copy-to", "a copy with another image or a further container; `--same-node`")
def _(k: Kube) -> None:
    k.pod("solo")
    k("debug solo --copy-to=twin --set-image=*=nginx:1.28 --same-node --profile=general")
    k.settle()
    twin = k.get("pods", "twin")
    same(twin["spec"]["containers"][0]["image"], "nginx:1.28")
    same(twin["spec"]["nodeName"], k.get("pods", "solo")["spec"]["nodeName"])
    same(twin["status"]["phase"], "Running")


@streams("debug node/NAME", "a pod on that node in its namespaces, with its root under /host")
def _(k: Kube) -> None:
    k("debug node/node1 --image=busybox:1.36 --profile=general -- sleep 1000")
    k.settle()
    pod = next(p for p in k.all("pods") if p["metadata"]["name"].startswith("node-debugger-node1-"))
    same((pod["spec"]["nodeName"], pod["spec"]["hostPID"], pod["spec"]["hostNetwork"]), ("node1", True, True))
    same(pod["spec"]["volumes"][0]["hostPath"]["path"], "/")
    same(pod["status"]["phase"], "Running")


@logs("logs --since-time, --ignore-errors, --max-log-requests", "from a moment on; too many streams to follow")
def _(k: Kube) -> None:
    talker(k)
    every = k("logs talk --timestamps").lines
    moment = every[len(every) // 2].split()[0]
    later = k(f"logs talk --timestamps --since-time={moment}").lines
    holds(len(later) > 0 and later[0].split()[0] >= moment, f"{later[:1]} since {moment}")
    k("create deployment many --image=busybox:1.36 --replicas=3 -- sleep 1000")
    k.settle()
    k("logs -f -l app=many --max-log-requests=2", code=1).warns("maximum allowed concurrency is 2")


@streams("exec into a pod that waits or has ended", "why nobody can get in")
def _(k: Kube) -> None:
    k.pod("bad", image="nginx:does-not-exist")
    k("exec bad -- ls", code=1).warns('container not found ("bad")')
    k("run done --image=busybox:1.36 --restart=Never --command -- true")
    k.settle()
    k("exec done -- ls", code=1).warns("cannot exec into a container in a completed pod; current phase is Succeeded")


@streams(
    "port-forward of what cannot be reached", "no such pod; a pod that does not run; a port of a Service that has none"
)
def _(k: Kube) -> None:
    k("port-forward pod/none 0:80", code=1).warns('pods "none" not found')
    k.pod("bad", image="nginx:does-not-exist")
    k("port-forward pod/bad 0:80", code=1).warns(
        "unable to forward port because pod is not running. Current status=Pending"
    )
    k.web()
    k("expose deployment web --port=8080 --target-port=80")
    k("port-forward svc/web 0:9999", code=1).warns("does not have a service port 9999")


@streams("debug --profile, --custom, --env", "capabilities of profiles; fields of one's own")
def _(k: Kube) -> None:
    k.pod("solo")
    k("debug solo --image=busybox:1.36 --profile=netadmin -c net --env=A=b -- sleep 1000")
    custom = k.file("own.yaml", "securityContext:\n  runAsUser: 1000\n")
    k(f"debug solo --image=busybox:1.36 --profile=general --custom={custom} -c own -- sleep 1000")
    k.settle()
    net, own = k.get("pods", "solo")["spec"]["ephemeralContainers"]
    same(sorted(net["securityContext"]["capabilities"]["add"]), ["NET_ADMIN", "NET_RAW"])
    same((net["env"], own["securityContext"]["runAsUser"]), ([{"name": "A", "value": "b"}], 1000))
    same(len(k.get("pods", "solo")["status"]["ephemeralContainerStatuses"]), 2)
