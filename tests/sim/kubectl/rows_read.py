"""Rows: get in all its forms, explain, describe, events, top, discovery."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from .bench import KUBECTL, Kube, Section, holds, same

get = Section("Get")
describe = Section("Describe, explain, events, top")
discovery = Section("Discovery, options, plug-ins")

LISTED = {
    "bindings", "componentstatuses", "configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes",
    "persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "replicationcontrollers", "resourcequotas",
    "secrets", "serviceaccounts", "services",
}  # fmt: skip


@get("get KIND", "columns of pods, deployments, services, nodes, with an application running", quick=True)
def _(k: Kube) -> None:
    app = k.cluster.namespace
    rows = k(["get", "deploy", "-n", app]).table
    same(list(rows[0]), ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"])
    same({r["NAME"] for r in rows}, {d["metadata"]["name"] for d in k.all("deployments.apps", app)})
    same({r["READY"] for r in rows}, {"1/1"})
    pods = k(["get", "pods", "-n", app]).table
    same({p["STATUS"] for p in pods}, {"Running"})
    same({n["STATUS"] for n in k("get nodes").table}, {"Ready"})


@get("get KIND NAME, KIND/NAME, several", "one, several kinds at once, short names, what is missing")
def _(k: Kube) -> None:
    k.web()
    k("get deploy web").says("web 2/2 2 2")
    k("get deploy/web svc/none", code=1).warns('services "none" not found')
    k("get deploy,rs").says("deployment.apps/web", "replicaset.apps/web-")
    k("get nothing", code=1).warns('the server doesn\'t have a resource type "nothing"')
    k("get pods -n nowhere").warns("No resources found in nowhere namespace.")
    k("get pod none --ignore-not-found").is_("")


@get("get all", "every kind of the category all, with its prefix")
def _(k: Kube) -> None:
    k.web()
    k("create cronjob c --image=busybox:1.36 --schedule=@daily -- date")
    shown = k("get all").out
    for word in ("pod/web-", "deployment.apps/web", "replicaset.apps/web-", "cronjob.batch/c"):
        holds(word in shown, f"no {word} in {shown!r}")


@get("get -o wide", "columns of lower priority")
def _(k: Kube) -> None:
    k.web()
    row = k("get deploy web -o wide").table[0]
    same((row["CONTAINERS"], row["IMAGES"], row["SELECTOR"]), ("nginx", "nginx:1.27", "app=web"))
    pod = k("get pods -o wide").table[0]
    found = k.get("pods", pod["NAME"])
    same((pod["IP"], pod["NODE"]), (found["status"]["podIP"], found["spec"]["nodeName"]))


@get("get -o json / yaml", "the stored object, without managed fields unless `--show-managed-fields`", quick=True)
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    stored = k.get("configmaps", "c")
    shown = k("get cm c -o json").json
    same(shown, {**stored, "metadata": {n: v for n, v in stored["metadata"].items() if n != "managedFields"}})
    same(k("get cm c -o yaml").yaml, shown)
    same(k("get cm c -o json --show-managed-fields").json, stored)
    listed = k("get cm -o json").json
    same((listed["kind"], {o["metadata"]["name"] for o in listed["items"]}), ("List", {"c", "kube-root-ca.crt"}))


@get("get -o name", "KIND.GROUP/NAME")
def _(k: Kube) -> None:
    k.web()
    k("get deploy,cm -o name").is_("deployment.apps/web\nconfigmap/kube-root-ca.crt")


@get("get -o jsonpath / jsonpath-file / jsonpath-as-json", "filters, ranges, escapes")
def _(k: Kube) -> None:
    k.web()
    k(["get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[?(@.name=='nginx')].image}"]).is_(
        "nginx:1.27"
    )
    k(["get", "pods", "-o", 'jsonpath={range .items[*]}{.status.phase}{"\\n"}{end}']).is_("Running\nRunning")
    k.file("path.txt", "{.metadata.name}")
    k("get deploy web -o jsonpath-file=path.txt").is_("web")
    same(k("get deploy web -o jsonpath-as-json={.spec.replicas}").json, [2])


@get("get -o custom-columns / custom-columns-file", "columns by path; `<none>` for what is not there")
def _(k: Kube) -> None:
    k.web()
    k("get deploy -o custom-columns=NAME:.metadata.name,R:.spec.replicas,X:.spec.none").is_(
        "NAME   R     X\nweb    2     <none>"
    )
    k.file("columns.txt", "NAME METADATA\nmetadata.name metadata.namespace\n")
    k("get deploy -o custom-columns-file=columns.txt --no-headers").says(k.namespace)


@get("get -o go-template / go-template-file", "templates over the object")
def _(k: Kube) -> None:
    k.web()
    k(["get", "deploy", "web", "-o", "go-template={{.spec.replicas}} {{len .spec.template.spec.containers}}"]).is_(
        "2 1"
    )
    k.file("t.tpl", "{{range .items}}{{.metadata.name}};{{end}}")
    k("get deploy -o go-template-file=t.tpl").is_("web;")


@get("get -o kyaml", "YAML with braces, the same object")
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    same(k("get cm c -o kyaml").yaml["data"], {"a": "1"})


@get("get --sort-by", "by a field, numbers as numbers")
def _(k: Kube) -> None:
    for name, replicas in (("a", 10), ("b", 2), ("c", 0)):
        k.post(f"/apis/apps/v1/namespaces/{k.namespace}/deployments", _sized(name, replicas))
    same([r["NAME"] for r in k("get deploy --sort-by=.spec.replicas").table], ["c", "b", "a"])
    same(k("get deploy --sort-by={.metadata.name} -o name").lines, [f"deployment.apps/{n}" for n in "abc"])


def _sized(name: str, replicas: int) -> dict[str, object]:
    labels = {"app": name}
    spec = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


@get("get -A", "with a column NAMESPACE")
def _(k: Kube) -> None:
    rows = k("get deploy -A").table
    same(list(rows[0])[:2], ["NAMESPACE", "NAME"])
    holds(k.cluster.namespace in {r["NAMESPACE"] for r in rows}, "the application is not listed")


@get("get -l", "equality, sets, existence, several")
def _(k: Kube) -> None:
    for name, labels in (("a", {"t": "x", "u": "1"}), ("b", {"t": "y"}), ("c", {})):
        k.post(f"/api/v1/namespaces/{k.namespace}/configmaps", {"metadata": {"name": name, "labels": labels}})
    for selector, want in (
        ("t=x", "a"), ("t!=x", "b c kube-root-ca.crt"), ("t", "a b"), ("!t", "c kube-root-ca.crt"),
        ("t in (x,y)", "a b"), ("t notin (x)", "b c kube-root-ca.crt"), ("t,u=1", "a"),
    ):  # fmt: skip
        shown = k(["get", "cm", "-l", selector, "-o", "name"]).out.replace("configmap/", "").split()
        same(" ".join(shown), want, f"-l {selector}")
    k("get cm -l a=b=c", code=1).warns("found '=', expected: ',' or 'end of string'")


@get("get --field-selector", "pods by phase and node, events by object, an unknown field is refused")
def _(k: Kube) -> None:
    k.pod("one")
    node = k.get("pods", "one")["spec"]["nodeName"]
    k(f"get pods --field-selector=spec.nodeName={node},status.phase=Running -o name").is_("pod/one")
    k("get pods --field-selector=status.phase!=Running -o name").is_("")
    k("get events --field-selector=involvedObject.name=one,reason=Scheduled").says("Successfully assigned")
    k("get pods --field-selector=spec.foo=1", code=1).warns("field label not supported: spec.foo")


@get("get -L, --show-labels, --show-kind, --no-headers", "label columns, prefixes")
def _(k: Kube) -> None:
    k.web()
    same(k("get deploy -L app").table[0]["APP"], "web")
    same(k("get deploy --show-labels").table[0]["LABELS"], "app=web")
    k("get deploy --show-kind --no-headers").says("deployment.apps/web 2/2").lacks("NAME")


@get("get --chunk-size", "pages of a list add up to the whole")
def _(k: Kube) -> None:
    for n in range(5):
        k.config_map(f"c{n}")
    log = k("get cm --chunk-size=2 -o name -v=8").err
    same(
        k("get cm --chunk-size=2 -o name").lines, [f"configmap/c{n}" for n in range(5)] + ["configmap/kube-root-ca.crt"]
    )
    holds(len(re.findall(r"limit=2", log)) >= 3, "less than three pages were asked for")


@get("get --raw", "any path; a path that is not there")
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    same(k(f"get --raw /api/v1/namespaces/{k.namespace}/configmaps/c").json, k.get("configmaps", "c"))
    k("get --raw /healthz").is_("ok")
    k("get --raw /nowhere", code=1).warns("the server could not find the requested resource")


@get("get --subresource", "status and scale")
def _(k: Kube) -> None:
    k.web()
    scale = k("get deploy web --subresource=scale -o json").json
    same(
        (scale["kind"], scale["spec"], scale["status"]),
        ("Scale", {"replicas": 2}, {"replicas": 2, "selector": "app=web"}),
    )
    same(k("get deploy web --subresource=status -o json").json["status"]["readyReplicas"], 2)


@get("get --server-print=false", "the client's own columns")
def _(k: Kube) -> None:
    k.web()
    same(list(k("get deploy --server-print=false").table[0]), ["NAME", "AGE"])


@get("get -f FILE", "what the file names")
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    name = k.file("c.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})
    k(f"get -f {name} -o name").is_("configmap/c")


@get("get -w, --watch-only, --output-watch-events", "changes arrive as they happen", quick=True)
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    with k.running("get cm c -w --output-watch-events --show-kind --no-headers", watch=True) as process:
        same(process.line().split()[:2], ["ADDED", "configmap/c"])
        k.request(
            "PATCH",
            f"/api/v1/namespaces/{k.namespace}/configmaps/c",
            {"data": {"a": "2"}},
            "application/merge-patch+json",
        )
        same(process.line().split()[:2], ["MODIFIED", "configmap/c"])
        k.request("DELETE", f"/api/v1/namespaces/{k.namespace}/configmaps/c")
        same(process.line().split()[:2], ["DELETED", "configmap/c"])
    k.config_map("d")
    with k.running("get cm d --watch-only -o name", watch=True) as process:
        k.request(
            "PATCH",
            f"/api/v1/namespaces/{k.namespace}/configmaps/d",
            {"data": {"a": "3"}},
            "application/merge-patch+json",
        )
        same(process.line().split(), ["configmap/d"])


@get("get of every kind", "each listable kind answers with a table, in both versions where there are two")
def _(k: Kube) -> None:
    names = k("api-resources --verbs=list -o name").lines
    holds(len(names) > 55, f"only {len(names)} kinds")
    done = k(["get", ",".join(names), "-A", "--ignore-not-found", "--show-kind"])
    holds("error" not in done.err.lower(), done.err)
    for word in ("node/node1", "storageclass.storage.k8s.io/standard", "namespace/default", "clusterrole.rbac"):
        holds(word in done.out, f"no {word}")
    k("get hpa.v1.autoscaling,events.events.k8s.io -A")


@get("get of a custom resource", "columns of its definition, short name, category", quick=True)
def _(k: Kube) -> None:
    group = f"{k.namespace}.example.com"
    k.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widget_definition(group))
    body = {
        "apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip
    k.post(f"/apis/{group}/v1/namespaces/{k.namespace}/widgets", body)
    row = k(f"get wd.{group}").table[0]
    same((row["NAME"], row["SIZE"], row["READY"]), ("w", "3", "True"))
    same(k(f"get widgets.{group} -o wide").table[0]["COLOUR"], "red", "defaulted colour")
    k(f"get widgets.v1.{group} w -o jsonpath={{.spec.size}}").is_("3")
    k.request("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}")


def widget_definition(group: str, kind: str = "Widget") -> dict[str, Any]:
    """Return a definition with columns, defaults, and a status to write."""
    condition = {"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}
    spec = {
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "description": "How large it is."},
            "colour": {"type": "string", "default": "red"},
        },
    }
    status = {"type": "object", "properties": {"conditions": {"type": "array", "items": condition}}}
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Colour", "type": "string", "jsonPath": ".spec.colour", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    version = {
        "name": "v1", "served": True, "storage": True, "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
    }  # fmt: skip
    one = kind.lower()
    names = {"plural": f"{one}s", "singular": one, "kind": kind, "shortNames": [f"{one[0]}d"]}
    return {
        "metadata": {"name": f"{one}s.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


@describe("describe KIND NAME", "deployment, replica set, pod with its events", quick=True)
def _(k: Kube) -> None:
    k.web()
    k("describe deploy web").says(
        "Replicas: 2 desired | 2 updated | 2 total | 2 available | 0 unavailable", "Image: nginx:1.27",
        "Available True MinimumReplicasAvailable", "Scaled up replica set web-",
    )  # fmt: skip
    k("describe rs").says("Controlled By: Deployment/web", "SuccessfulCreate", "Replicas: 2 current / 2 desired")
    shown = k("describe pods").says("Controlled By: ReplicaSet/web-")
    same(len([line for line in shown.lines if line.startswith("Name: ")]), 2, "pods described")
    pod = k.all("pods")[0]["metadata"]["name"]
    k(f"describe pod {pod}").says(
        "Status: Running", "Ready True", "Successfully assigned", "Normal Pulled", "Container started",
    )  # fmt: skip


@describe("describe of a pod in trouble", "waiting reason, last state, restarts, events of the pull")
def _(k: Kube) -> None:
    k.pod("bad", image="nginx:does-not-exist")
    k("describe pod bad").says("Reason: ImagePullBackOff", "Failed to pull image")
    k.pod("crash", image="busybox:1.36", command=["sh", "-c", "exit 3"])
    k.settle(30)
    k("describe pod crash").says("Last State: Terminated", "Exit Code: 3", "Back-off restarting failed container")


@describe("describe -l, prefix, -f, -A, --show-events=false", "what is chosen, and no events where none are wanted")
def _(k: Kube) -> None:
    k.web()
    k("describe pods -l app=web --show-events=false").says("Status: Running").lacks("Events:")
    k("describe deploy we").says("Name: web")
    k("describe deploy none", code=1).warns('deployments.apps "none" not found')


@describe("describe node", "capacity, conditions, pods and what they request, in sum")
def _(k: Kube) -> None:
    k.pod("one", resources={"requests": {"cpu": "100m"}})
    node = k.get("pods", "one")["spec"]["nodeName"]
    k(f"describe node {node}").says(
        "KubeletReady", "Non-terminated Pods:", f"{k.namespace} one 100m (2%)", "Allocated resources:",
        "Container Runtime Version: containerd://",
    )  # fmt: skip


@describe("describe of every kind", "each kind that can be listed and exists has a description that names it")
def _(k: Kube) -> None:
    k.web()
    furnish(k)
    names = k("api-resources --verbs=list --namespaced=true -o name").lines
    shown = k("describe " + ",".join(n for n in names if not n.startswith(("events", "pods.metrics")))).out
    found = set(re.findall(r"^Name: +(\S+)", shown, re.M))
    for name in (
        "web",
        "c",
        "s",
        "sa",
        "quota",
        "limits",
        "pdb",
        "hpa",
        "np",
        "ing",
        "claim",
        "role",
        "rb",
        "lease",
        "sts",
        "ds",
        "job",
        "cj",
        "rc",
    ):
        holds(name in found, f"{name} is not described")
    cluster = k("api-resources --verbs=list --namespaced=false -o name").lines
    wanted = [
        n
        for n in cluster
        if n.split(".")[0]
        in ("namespaces", "nodes", "storageclasses", "priorityclasses", "ingressclasses", "apiservices")
    ]
    done = k(f"describe {','.join(wanted)}")
    for word in ("node1", "standard", "system-node-critical", "kube-system"):
        holds(re.search(rf"^Name: +{word}$", done.out, re.M), f"{word} is not described")


def furnish(k: Kube) -> None:
    """Create one object of most kinds."""
    for prefix, plural, body in yaml.safe_load(Path(__file__).with_name("furnish.yaml").read_text("utf-8")):
        k.post(f"{prefix}/namespaces/{k.namespace}/{plural}", body)
    k.settle(5)


@describe("explain KIND.FIELD", "texts and types; `--recursive`, `--api-version`, `-o plaintext-openapiv2` is no more")
def _(k: Kube) -> None:
    k("explain pods.spec.containers.image").says(
        "KIND: Pod", "VERSION: v1", "FIELD: image <string>", "Container image name"
    )
    k("explain deployment").says("GROUP: apps", "spec <DeploymentSpec>", "Deployment enables declarative updates")
    k("explain hpa --api-version=autoscaling/v1").says("VERSION: v1")
    k("explain cm --recursive").says("binaryData <map[string]string>", "creationTimestamp <string>")
    k("explain pods.spec.nothing", code=1).warns('field "nothing" does not exist')


@describe("explain of a custom resource", "texts of its definition")
def _(k: Kube) -> None:
    group = f"{k.namespace}.example.com"
    k.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widget_definition(group, "Gadget"))
    k("explain gadgets.spec.size").says("FIELD: size <integer>", "How large it is.")
    k(f"explain gadgets --api-version={group}/v1").says(f"GROUP: {group}", "spec <Object>")
    k.request("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.{group}")


@describe("events", "sorted by time; `--for`, `--types`, `-A`, `-o json`, `--no-headers`", quick=True)
def _(k: Kube) -> None:
    k.web(replicas=1)
    rows = k("events").table
    same(list(rows[0]), ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"])
    same(
        {"Scheduled", "Pulled", "Created", "Started", "SuccessfulCreate", "ScalingReplicaSet"}
        - {r["REASON"] for r in rows},
        set(),
        "reasons missing",
    )
    same({r["OBJECT"] for r in k("events --for=deployment/web").table}, {"Deployment/web"})
    k("events --types=Warning").warns("No events found")
    same(len(k("events -o json").json["items"]), len(k.all("events")))
    holds(len(k("events -A --no-headers").lines) > len(rows), "no events of others")


@describe("events -w", "events arrive as they happen")
def _(k: Kube) -> None:
    k.pod("one")
    with k.running("events -w --for=pod/two", watch=True) as process:
        k.pod("two")
        shown = process.line() + process.line()
        holds("Successfully assigned" in shown, shown)


@describe("top pod", "`--containers`, `-l`, `--sort-by`, `--sum`, `--no-headers`, `-A`", quick=True)
def _(k: Kube) -> None:
    app = k.cluster.namespace
    rows = k(["top", "pod", "-n", app]).table
    same(list(rows[0]), ["NAME", "CPU(cores)", "MEMORY(bytes)"])
    same({r["NAME"] for r in rows}, {p["metadata"]["name"] for p in k.all("pods", app)})
    used = [int(r["CPU(cores)"].removesuffix("m")) for r in k(["top", "pod", "-n", app, "--sort-by=cpu"]).table]
    same(used, sorted(used, reverse=True))
    *each, _, total = k(["top", "pod", "-n", app, "--sum", "--no-headers"]).lines
    parts = sum(int(line.split()[1].removesuffix("m")) for line in each)
    # Each row is rounded by itself.
    holds(abs(int(total.split()[0].removesuffix("m")) - parts) <= len(each), f"sum {total} of {parts}m")
    same(list(k(["top", "pod", "-n", app, "--containers"]).table[0])[:2], ["POD", "NAME"])
    holds(len(k("top pod -A --no-headers").lines) >= len(rows), "too few pods")


@describe("top node", "use and share of each node, `--sort-by`")
def _(k: Kube) -> None:
    rows = k("top node --sort-by=memory").table
    same({r["NAME"] for r in rows}, {"node1", "node2", "node3"})
    holds(all(re.fullmatch(r"\d+%", r["CPU(%)"]) for r in rows), f"{rows}")
    k("top node node1").says("node1")


@discovery(
    "api-resources", "`-o wide`, `--namespaced`, `--api-group`, `--verbs`, `--categories`, `--sort-by`", quick=True
)
def _(k: Kube) -> None:
    rows = k("api-resources").table
    same({r["NAME"] for r in rows if r["APIVERSION"] == "v1"}, LISTED)
    same(next(r for r in rows if r["NAME"] == "deployments")["SHORTNAMES"], "deploy")
    k("api-resources --api-group=apps -o name --sort-by=name").is_(
        "controllerrevisions.apps\ndaemonsets.apps\ndeployments.apps\nreplicasets.apps\nstatefulsets.apps"
    )
    holds("pods" not in k("api-resources --namespaced=false -o name").lines, "pods are not cluster-scoped")
    k("api-resources --categories=all -o name").says("pods", "cronjobs.batch")
    k("api-resources -o wide").says("create,delete,deletecollection,get,list,patch,update,watch")


@discovery("api-versions", "every group version")
def _(k: Kube) -> None:
    lines = k("api-versions").lines
    for name in ("v1", "apps/v1", "autoscaling/v1", "autoscaling/v2", "events.k8s.io/v1", "metrics.k8s.io/v1beta1"):
        holds(name in lines, f"no {name}")


@discovery("version", "`--client`, `-o json`: the server's version")
def _(k: Kube) -> None:
    k("version").says("Server Version: v1.36.2")
    found = k("version -o json").json
    same((found["serverVersion"]["major"], found["serverVersion"]["minor"]), ("1", "36"))
    k("version --client").lacks("Server Version")


@discovery("cluster-info", "address of the control plane")
def _(k: Kube) -> None:
    k("cluster-info").says("Kubernetes control plane", k.bench.front.url)


@discovery("cluster-info dump", "`--namespaces`, `--output-directory`: objects and logs in files")
def _(k: Kube) -> None:
    k.web(replicas=1)
    k(f"cluster-info dump --namespaces={k.namespace} --output-directory=dump")
    names = {p.name for p in (k.folder / "dump" / k.namespace).iterdir()}
    pod = k.all("pods")[0]["metadata"]["name"]
    for name in ("deployments.json", "events.json", "pods.json", pod):
        holds(name in names, f"no {name} in {sorted(names)}")
    holds((k.folder / "dump" / "nodes.json").exists(), "no nodes.json")
    holds((k.folder / "dump" / k.namespace / pod / "logs.txt").exists(), "no logs.txt")


@discovery("options", "flags that every command takes")
def _(k: Kube) -> None:
    k("options").says("--as=''", "--kubeconfig=''", "--request-timeout='0'")


@discovery("completion", "scripts for bash, zsh, fish, powershell; names are completed from the cluster")
def _(k: Kube) -> None:
    for shell in ("bash", "zsh", "fish", "powershell"):
        holds(len(k(f"completion {shell}").out) > 1000, f"no script for {shell}")
    k.web()
    # Shells ask with the line as typed, the word to complete last.
    argv = [str(KUBECTL), "__complete", *k.argv([])[1:], "get", "deploy", "w"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=k.environment())
    same(done.stdout.splitlines()[0], "web")


@discovery("plugin list", "plug-ins on PATH are found and run")
def _(k: Kube) -> None:
    path = k.folder / "kubectl-hello"
    path.write_text("#!/bin/sh\necho hello $1\n")
    path.chmod(0o755)
    where = f"{k.folder}:/usr/bin:/bin"
    k("plugin list", PATH=where).says("kubectl-hello")
    # A plug-in is named before any flag.
    argv = [str(KUBECTL), "hello", "you"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=k.environment(PATH=where))
    same(done.stdout, "hello you\n")


@discovery("alpha", "kubectl 1.37 has no command there and says so")
def _(k: Kube) -> None:
    k("alpha").warns("No alpha commands are available in this version of kubectl")


@discovery("kuberc set / view", "defaults and aliases in a file of preferences")
def _(k: Kube) -> None:
    k.web()
    file = k.folder / k.file("kuberc", {"apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference"})
    k(
        [
            "kuberc",
            "set",
            "--kuberc",
            str(file),
            "--section",
            "defaults",
            "--command",
            "get",
            "--option",
            "output=name",
        ],
        KUBERC="on",
    )
    k(["kuberc", "view", "--kuberc", str(file)], KUBERC="on").says("name: output", "default: name")
    k(["get", "deploy", "--kuberc", str(file)], KUBERC="on").is_("deployment.apps/web")


@get("get --template, --allow-missing-template-keys", "a key that is missing: shown as none, or refused")
def _(k: Kube) -> None:
    k.web()
    k(["get", "deploy", "web", "--template={{.metadata.name}}{{.none}}"]).is_("web<no value>")
    k(["get", "deploy", "web", "--template={{.none}}", "--allow-missing-template-keys=false"], code=1).warns(
        "map has no entry"
    )


@describe("describe of what a user may not see", "refused with the real text, and what may be seen is still shown")
def _(k: Kube) -> None:
    k.web(replicas=1)
    k("create rolebinding v --clusterrole=view --user=bob")
    k("describe deploy web --as=bob").says("Name: web", "ScalingReplicaSet")
    refused = f'User "bob" cannot list resource "secrets" in API group "" in the namespace "{k.namespace}"'
    k("describe secrets --as=bob", code=1).warns(refused)
    k("get nodes --as=bob", code=1).warns('cannot list resource "nodes" in API group "" at the cluster scope')
