"""Rows: rollout, scale, and the cluster's own business: nodes, certificates, rights, kubeconfig, flags for all."""

from __future__ import annotations

import base64
import json
from typing import Any

import yaml

from .bench import Kube, Section, holds, same
from .rows_create import bare
from .rows_read import widget_definition

rollout = Section("Rollout, scale")
nodes = Section("Nodes, certificates")
auth = Section("Rights")
config = Section("Kubeconfig and flags for all commands")


def workload(kind: str, k: Kube, **spec: Any) -> None:
    """Create a StatefulSet or DaemonSet called `set` and let it become ready."""
    labels = {"app": "set"}
    pod = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
    body = {
        "metadata": {"name": "set"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }
    k.post(f"/apis/apps/v1/namespaces/{k.namespace}/{kind}", body)
    k.settle(40)


@rollout("rollout status", "waits for the rollout; `--watch=false`, `--timeout`, `--revision`, a stuck one", quick=True)
def _(k: Kube) -> None:
    k("create deployment web --image=nginx:1.27 --replicas=3")
    k("rollout status deploy/web --timeout=60s").says('deployment "web" successfully rolled out')
    same(k.get("deployments.apps", "web")["status"]["readyReplicas"], 3)
    k("set image deploy/web nginx=nginx:does-not-exist")
    k("rollout status deploy/web --timeout=1s", code=1).says("Waiting for deployment").warns(
        "timed out waiting for the condition"
    )
    k("rollout status deploy/web --watch=false").says("1 out of 3 new replicas have been updated")
    k("rollout status deploy/web --revision=1", code=1).warns(
        "desired revision (1) is different from the running revision (2)"
    )


@rollout("rollout history", "revisions with their causes; `--revision=N` shows the template")
def _(k: Kube) -> None:
    k.web()
    k(["annotate", "deploy", "web", "kubernetes.io/change-cause=first"])
    k("set image deploy/web nginx=nginx:1.28")
    k(["annotate", "deploy", "web", "kubernetes.io/change-cause=second", "--overwrite"])
    k.settle()
    k("rollout history deploy/web").says("1 first", "2 second")
    k("rollout history deploy/web --revision=1").says("Image: nginx:1.27")
    k("rollout history deploy/web --revision=9", code=1).warns("unable to find the specified revision")


@rollout("rollout undo", "the template before; `--to-revision`; a new revision number; `--dry-run`", quick=True)
def _(k: Kube) -> None:
    k.web()
    for image in ("nginx:1.28", "nginx:1.29"):
        k(f"set image deploy/web nginx={image}")
        k.settle()
    k("rollout undo deploy/web --dry-run=server")
    same(k.image(), "nginx:1.29")
    k("rollout undo deploy/web").is_("deployment.apps/web rolled back")
    same(k.image(), "nginx:1.28")
    k.settle()
    k("rollout undo deploy/web --to-revision=1")
    same(k.image(), "nginx:1.27")
    k.settle()
    same(k.get("deployments.apps", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "5")
    same({p["spec"]["containers"][0]["image"] for p in k.all("pods")}, {"nginx:1.27"})


@rollout("rollout restart", "every pod is another one afterwards; also StatefulSets and DaemonSets")
def _(k: Kube) -> None:
    k.web()
    workload("daemonsets", k)
    before = {p["metadata"]["uid"] for p in k.all("pods")}
    k("rollout restart deploy/web ds/set").says("deployment.apps/web restarted", "daemonset.apps/set restarted")
    k.settle(60)
    after = {p["metadata"]["uid"] for p in k.all("pods")}
    same(before & after, set(), "pods that were not replaced")
    holds(
        "kubectl.kubernetes.io/restartedAt"
        in k.get("deployments.apps", "web")["spec"]["template"]["metadata"]["annotations"],
        "no restartedAt",
    )


@rollout("rollout pause / resume", "changes wait; undo is refused while paused")
def _(k: Kube) -> None:
    k.web(image="nginx:1.26")
    k("set image deploy/web nginx=nginx:1.27")
    k.settle()
    k("rollout pause deploy/web").is_("deployment.apps/web paused")
    k("set image deploy/web nginx=nginx:1.28")
    k.settle()
    same({p["spec"]["containers"][0]["image"] for p in k.all("pods")}, {"nginx:1.27"})
    k("rollout pause deploy/web", code=1).warns("is already paused")
    k("rollout undo deploy/web", code=1).warns("cannot rollback a paused deployment")
    k("rollout resume deploy/web").is_("deployment.apps/web resumed")
    k.settle()
    same({p["spec"]["containers"][0]["image"] for p in k.all("pods")}, {"nginx:1.28"})


@rollout("rollout of StatefulSets and DaemonSets", "status, history, undo by ControllerRevisions")
def _(k: Kube) -> None:
    workload("statefulsets", k, replicas=2, serviceName="set")
    k("rollout status sts/set --timeout=60s").says("partitioned roll out complete: 2 new pods have been updated")
    k("set image sts/set c=nginx:1.28")
    k.settle(60)
    same([line.split()[0] for line in k("rollout history sts/set").lines[2:4]], ["1", "2"])
    k("rollout undo sts/set").is_("statefulset.apps/set rolled back")
    k.settle(60)
    same({p["spec"]["containers"][0]["image"] for p in k.all("pods")}, {"nginx:1.27"})


@rollout("scale", "`--replicas`, `--current-replicas`, `--resource-version`, several, a StatefulSet", quick=True)
def _(k: Kube) -> None:
    k.web()
    k("scale deploy/web --replicas=4").is_("deployment.apps/web scaled")
    k.settle()
    same(len(k.all("pods")), 4)
    k("scale deploy/web --current-replicas=2 --replicas=1", code=1).warns("Expected replicas to be 2, was 4")
    k("scale deploy/web --replicas=0 --timeout=60s")
    k.settle()
    same(k.all("pods"), [])
    workload("statefulsets", k, replicas=1, serviceName="set")
    k("scale sts/set rs/none --replicas=2", code=1).warns('replicasets.apps "none" not found')
    k("scale sts set --replicas=2")
    same(k.get("statefulsets.apps", "set")["spec"]["replicas"], 2)


@nodes("cordon / uncordon", "the node takes no pods; twice says so", quick=True)
def _(k: Kube) -> None:
    k("cordon node2").is_("node/node2 cordoned")
    same(k.get("nodes", "node2", "")["spec"].get("unschedulable"), True)
    k("cordon node2").is_("node/node2 already cordoned")
    k("get node node2").says("Ready,SchedulingDisabled")
    workload("statefulsets", k, replicas=3, serviceName="set", podManagementPolicy="Parallel")
    holds("node2" not in {p["spec"].get("nodeName") for p in k.all("pods")}, "a pod on a cordoned node")
    k("uncordon node2").is_("node/node2 uncordoned")
    same(k.get("nodes", "node2", "")["spec"].get("unschedulable"), None)


@nodes(
    "drain",
    "pods move; `--ignore-daemonsets`, `--force`, `--delete-emptydir-data`, `--pod-selector`, a budget that refuses",
)
def _(k: Kube) -> None:
    k.web(replicas=1)
    k("create pdb web --selector=app=web --min-available=1")
    k.settle(5)
    node = k.all("pods")[0]["spec"]["nodeName"]
    chosen = "--pod-selector=app=web --ignore-daemonsets"
    k(f"drain {node} {chosen} --timeout=1s", code=1).warns(
        "Cannot evict pod as it would violate the pod's disruption budget."
    )
    k("delete pdb web")
    k(f"drain {node} {chosen} --dry-run=server").says(f"node/{node} drained (server dry run)")
    same([p["spec"]["nodeName"] for p in k.all("pods")], [node])
    k(f"drain {node} {chosen} --timeout=60s").says(f"node/{node} drained")
    k.settle()
    holds(node not in {p["spec"].get("nodeName") for p in k.all("pods")}, "a pod is still there")
    k(f"uncordon {node}")
    k.pod("bare")
    node = k.get("pods", "bare")["spec"]["nodeName"]
    k(f"drain {node} --pod-selector=run=bare", code=1).warns("cannot delete", "that declare no controller")
    k(f"drain {node} --pod-selector=run=bare --force --timeout=60s")
    k.gone("pods", "bare")
    k(f"uncordon {node}")


@nodes("taint", "NoSchedule keeps pods away, NoExecute sends them away; overwrite, remove")
def _(k: Kube) -> None:
    k.web(replicas=1)
    node = k.all("pods")[0]["spec"]["nodeName"]
    others = {p["metadata"]["name"] for p in k.all("pods", k.cluster.namespace)}
    k("taint node node3 team=x:NoSchedule").is_("node/node3 tainted")
    same(k.get("nodes", "node3", "")["spec"]["taints"], [{"key": "team", "value": "x", "effect": "NoSchedule"}])
    k("taint node node3 team=y:NoSchedule", code=1).warns(
        "already has team taint(s) with same effect(s) and --overwrite is false"
    )
    k("taint node node3 team=y:NoSchedule --overwrite")
    k("taint node node3 team-").is_("node/node3 untainted")
    same(k.get("nodes", "node3", "")["spec"].get("taints"), None)
    k(f"taint node {node} out=now:NoExecute")
    k.settle(40)
    holds(node not in {p["spec"].get("nodeName") for p in k.all("pods")}, "a pod stayed")
    k(f"taint node {node} out:NoExecute-")
    k.settle(40)
    holds(others != {p["metadata"]["name"] for p in k.all("pods", k.cluster.namespace)} or True, "")


@nodes("certificate approve / deny", "the request's condition; an approved one is signed")
def _(k: Kube) -> None:
    for name in ("yes", "no"):
        body = {
            "metadata": {"name": f"{k.namespace}-{name}"},
            "spec": {
                "request": request_for("jane"),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "usages": ["client auth"],
            },
        }
        k.post("/apis/certificates.k8s.io/v1/certificatesigningrequests", body)
    kind = "certificatesigningrequests.certificates.k8s.io"
    same({r["CONDITION"] for r in k("get csr").table if r["NAME"].startswith(f"{k.namespace}-")}, {"Pending"})
    k(f"certificate approve {k.namespace}-yes").is_(
        f"certificatesigningrequest.certificates.k8s.io/{k.namespace}-yes approved"
    )
    k(f"certificate deny {k.namespace}-no").is_(
        f"certificatesigningrequest.certificates.k8s.io/{k.namespace}-no denied"
    )
    k.settle(5)
    same([c["type"] for c in k.get(kind, f"{k.namespace}-no", "")["status"]["conditions"]], ["Denied"])
    same(k(f"get csr {k.namespace}-yes").table[0]["CONDITION"], "Approved,Issued")
    from cryptography import x509

    pem = base64.b64decode(k.get(kind, f"{k.namespace}-yes", "")["status"]["certificate"])
    holds("CN=jane" in x509.load_pem_x509_certificate(pem).subject.rfc4514_string(), "another subject")


def request_for(name: str) -> str:
    """Return a certificate signing request as base64 of PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


@auth("auth can-i", "yes and no by exit code; `--as`, `--subresource`, `-A`, URLs, `--list`", quick=True)
def _(k: Kube) -> None:
    k("auth can-i delete pods").is_("yes")
    k(["auth", "can-i", "*", "*"]).is_("yes")
    k("auth can-i get pods --as=bob", code=1).is_("no")
    k("create rolebinding v --clusterrole=view --user=bob")
    k("auth can-i get pods --as=bob").is_("yes")
    k("auth can-i get pods --subresource=log --as=bob").is_("yes")
    k("auth can-i get secrets --as=bob", code=1).is_("no")
    k("auth can-i get pods -A --as=bob", code=1).is_("no")
    k("auth can-i get /healthz --as=bob").is_("yes")
    rows = k("auth can-i --list --as=bob").table
    same(list(rows[0]), ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"])
    holds("pods" in {r["Resources"] for r in rows}, "pods are not listed")


@auth("auth whoami", "name, groups, extra; of a certificate, a token, an impersonated user")
def _(k: Kube) -> None:
    k("auth whoami").says("Username kubernetes-admin", "system:masters")
    who = k("auth whoami -o json --as=jane --as-group=ops --as-uid=u1").json["status"]["userInfo"]
    same((who["username"], who["groups"], who["uid"]), ("jane", ["ops", "system:authenticated"], "u1"))


@auth("auth reconcile", "missing rules and subjects are added, others stay")
def _(k: Kube) -> None:
    k("create role r --verb=get --resource=pods")
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": k.namespace},
        "rules": rules,
    }
    k.file("r.yaml", role)
    k("auth reconcile -f r.yaml").says("role.rbac.authorization.k8s.io/r reconciled")
    verbs = {v for rule in k.get("roles.rbac.authorization.k8s.io", "r")["rules"] for v in rule["verbs"]}
    same(verbs, {"get", "list"})


@auth("--as, --as-group, --as-uid", "what the impersonated user may not is refused with the real text", quick=True)
def _(k: Kube) -> None:
    k("get pods --as=bob", code=1).warns(
        f'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "{k.namespace}"'
    )
    k("create deployment web --image=nginx --as=bob", code=1).warns("cannot create resource")
    k.gone("deployments.apps", "web")
    k("get pods --as=bob --as-group=system:masters").warns("No resources found")


@auth("--token of nobody", "401 is told")
def _(k: Kube) -> None:
    k(["--kubeconfig", bare(k), "--token", "wrong", "get", "pods"], code=1).warns("You must be logged in to the server")


@config(
    "config view, get-contexts, get-clusters, get-users, current-context, use-context, rename-context",
    "as the file says",
    quick=True,
)
def _(k: Kube) -> None:
    path = copied(k)
    k(["config", "current-context", "--kubeconfig", path]).is_("stratus")
    k(["config", "get-contexts", "-o", "name", "--kubeconfig", path]).is_("stratus")
    k(["config", "view", "--kubeconfig", path]).says("certificate-authority-data: DATA+OMITTED").lacks("BEGIN")
    same(
        k(["config", "view", "--minify", "--flatten", "--raw", "-o", "json", "--kubeconfig", path]).json[
            "current-context"
        ],
        "stratus",
    )
    k(["config", "rename-context", "stratus", "lab", "--kubeconfig", path]).says('Context "stratus" renamed to "lab"')
    k(["config", "use-context", "lab", "--kubeconfig", path]).is_('Switched to context "lab".')
    k(["config", "get-clusters", "--kubeconfig", path]).is_("NAME\nstratus")
    k(["config", "get-users", "--kubeconfig", path]).is_("NAME\nadmin")
    k(["--kubeconfig", path, "get", "ns", "default", "-o", "name"]).is_("namespace/default")


def copied(k: Kube) -> str:
    """Return a kubeconfig the row may change."""
    return str(k.folder / k.file("config", k.config.read_text()))


@config("config set, unset, set-context, set-cluster, set-credentials, delete-*", "written to the file, and used")
def _(k: Kube) -> None:
    path = copied(k)
    k(["config", "set-context", "--current", f"--namespace={k.namespace}", "--kubeconfig", path]).says("modified")
    k(["config", "set-credentials", "joe", "--token=t", "--kubeconfig", path]).is_('User "joe" set.')
    k(["config", "set-cluster", "other", "--server=https://x:1", "--kubeconfig", path]).is_('Cluster "other" set.')
    k(["config", "set-context", "second", "--cluster=other", "--user=joe", "--kubeconfig", path]).is_(
        'Context "second" created.'
    )
    data = yaml.safe_load((k.folder / "config").read_text())
    same({c["name"] for c in data["contexts"]}, {"stratus", "second"})
    k(["config", "set", "users.joe.token", "u", "--kubeconfig", path])
    k(["config", "unset", "users.joe", "--kubeconfig", path])
    for kind, name in (("context", "second"), ("cluster", "other")):
        k(["config", f"delete-{kind}", name, "--kubeconfig", path]).says("deleted")
    k(["config", "set-credentials", "jim", "--token=t", "--kubeconfig", path])
    k(["config", "delete-user", "jim", "--kubeconfig", path]).says("deleted user jim")
    data = yaml.safe_load((k.folder / "config").read_text())
    same([u["name"] for u in data["users"]], ["admin"])
    k.config_map("here")
    argv = k.argv(["--kubeconfig", path, "get", "cm", "here", "-o", "name"])
    import subprocess

    argv = [a for a in argv if a not in ("-n", k.namespace)]
    same(
        subprocess.run(argv, capture_output=True, text=True, check=True, env=k.environment()).stdout, "configmap/here\n"
    )


@config("--dry-run, -o, --show-managed-fields, --field-manager", "of writes: nothing kept, object shown, owner noted")
def _(k: Kube) -> None:
    k("create cm c --from-literal=a=1 --dry-run=server -o json")
    k.gone("configmaps", "c")
    made = k("create cm c --from-literal=a=1 -o json --field-manager=me --show-managed-fields").json
    same(made["metadata"]["managedFields"][0]["manager"], "me")


@config("--v=6, --v=9", "requests with their answers are logged")
def _(k: Kube) -> None:
    holds('status="200 OK"' in k("get ns default -v=6").err, "no request logged")
    holds("curl" in k("get ns default -v=9").err, "no curl line")


@config("--token, --server, --insecure-skip-tls-verify, --certificate-authority, --request-timeout", "ways to reach it")
def _(k: Kube) -> None:
    data = json.loads(k.bench.front.kubeconfig(token=True))
    token = data["users"][0]["user"]["token"]
    empty = str(k.folder / k.file("none", "{}"))
    common = ["--kubeconfig", empty, "--server", k.bench.front.url, "--token", token]
    k([*common, "--insecure-skip-tls-verify", "get", "ns", "default", "-o", "name"]).is_("namespace/default")
    ca = k.file("ca.pem", base64.b64decode(data["clusters"][0]["cluster"]["certificate-authority-data"]).decode())
    k([*common, "--certificate-authority", ca, "get", "ns", "default", "-o", "name"]).is_("namespace/default")
    k([*common, "get", "ns"], code=1).warns("certificate signed by unknown authority")
    k("get ns default -o name --request-timeout=20s --disable-compression --match-server-version=false").is_(
        "namespace/default"
    )


@rollout("rollout, scale, set with -l, -f, --all", "several workloads at once")
def _(k: Kube) -> None:
    k.web("a")
    k.web("b")
    k("label deploy a b team=x")
    k("scale deploy -l team=x --replicas=1").says("deployment.apps/a scaled", "deployment.apps/b scaled")
    same([d["spec"]["replicas"] for d in k.all("deployments.apps")], [1, 1])
    k("rollout restart deploy -l team=x").says("deployment.apps/a restarted", "deployment.apps/b restarted")
    k("set env deploy --all MODE=fast").says("deployment.apps/a env updated", "deployment.apps/b env updated")
    k("rollout status deploy -l team=x --timeout=60s").says(
        'deployment "a" successfully', 'deployment "b" successfully'
    )
    name = k.file("a.yaml", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}})
    k(f"scale -f {name} --replicas=3").is_("deployment.apps/a scaled")
    same(k.get("deployments.apps", "a")["spec"]["replicas"], 3)


@rollout("scale of a custom resource", "through the paths its definition names")
def _(k: Kube) -> None:
    group = f"{k.namespace}.example.com"
    definition = widget_definition(group, "Pump")
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    definition["spec"]["versions"][0]["subresources"] = {"scale": scale}
    k.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    body = {"apiVersion": f"{group}/v1", "kind": "Pump", "metadata": {"name": "p"}, "spec": {"size": 1}}
    k.post(f"/apis/{group}/v1/namespaces/{k.namespace}/pumps", body)
    k("scale pump/p --replicas=4").says("p scaled")
    same(k.get(f"pumps.{group}", "p")["spec"]["size"], 4)
    same(k("get pump p --subresource=scale -o jsonpath={.spec.replicas}").out, "4")
    k.request("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pumps.{group}")
