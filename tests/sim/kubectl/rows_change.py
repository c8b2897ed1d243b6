"""Rows: set, edit, patch, label, annotate, replace, delete, apply, diff, wait, kustomize."""

from __future__ import annotations

import json
from typing import Any

from .bench import Kube, Section, holds, same
from .rows_create import kustomization

change = Section("Set, edit, patch, label, annotate, replace")
delete = Section("Delete")
apply = Section("Apply, diff, kustomize")
wait = Section("Wait")


def container(k: Kube, name: str = "web") -> dict[str, Any]:
    found: dict[str, Any] = k.get("deployments.apps", name)["spec"]["template"]["spec"]["containers"][0]
    return found


@change("set image", "a rollout follows; `--all`, `*=`, `--local`", quick=True)
def _(k: Kube) -> None:
    k.web()
    k("set image deploy/web nginx=nginx:1.28").is_("deployment.apps/web image updated")
    k.settle()
    same({p["spec"]["containers"][0]["image"] for p in k.all("pods")}, {"nginx:1.28"})
    k("set image deploy --all *=nginx:1.29")
    same(k.image(), "nginx:1.29")
    k("set image deploy/web none=x:1", code=1).warns('unable to find container named "none"')
    k("set image deploy/web nginx=nginx:1.30 --local -o yaml", code=1)


@change("set env", "add, remove, `--from=configmap`, `--prefix`, `--list`, `--resolve`, `-e`")
def _(k: Kube) -> None:
    k.web()
    k.config_map("settings", mode="fast")
    k("set env deploy/web A=1 B=2").is_("deployment.apps/web env updated")
    k("set env deploy/web A- -e C=3")
    same(container(k)["env"], [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}])
    k("set env deploy/web --from=configmap/settings --prefix=APP_")
    same(
        container(k)["env"][-1],
        {"name": "APP_MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
    )
    k("set env deploy/web --list").says("B=2", "# APP_MODE from configmap settings, key mode")
    k("set env deploy/web --list --resolve").says("APP_MODE=fast")


@change("set resources", "`--requests --limits -c`")
def _(k: Kube) -> None:
    k.web()
    k("set resources deploy/web --requests=cpu=100m,memory=64Mi --limits=memory=128Mi").says(
        "resource requirements updated"
    )
    same(container(k)["resources"], {"limits": {"memory": "128Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}})


@change("set selector / serviceaccount / subject", "service selector, account of a template, subjects of a binding")
def _(k: Kube) -> None:
    k.web()
    k("create service clusterip web --tcp=80")
    k(["set", "selector", "svc", "web", "app=other"]).says("service/web selector updated")
    same(k.get("services", "web")["spec"]["selector"], {"app": "other"})
    k("create sa robot")
    k("set serviceaccount deploy/web robot").says("deployment.apps/web serviceaccount updated")
    same(k.get("deployments.apps", "web")["spec"]["template"]["spec"]["serviceAccountName"], "robot")
    k("create rolebinding r --clusterrole=view --user=a")
    k("set subject rolebinding r --user=b").says("subjects updated")
    same([s["name"] for s in k.get("rolebindings.rbac.authorization.k8s.io", "r")["subjects"]], ["a", "b"])


@change("edit", "with an editor (KUBE_EDITOR); no change; a refused change leaves the object alone", quick=True)
def _(k: Kube) -> None:
    k.web()
    k("edit deploy web", KUBE_EDITOR="sed -i s/nginx:1.27/nginx:1.28/").is_("deployment.apps/web edited")
    same(k.image(), "nginx:1.28")
    k("edit deploy web", KUBE_EDITOR="true").warns("Edit cancelled, no changes made.")
    k(["edit", "deploy", "web"], KUBE_EDITOR="sed -i s/replicas:.2/replicas:x/", code=1)
    same(k.get("deployments.apps", "web")["spec"]["replicas"], 2)


@change("edit --subresource=status / -o json", "other forms of the edited text")
def _(k: Kube) -> None:
    k.config_map("c", a="old")
    same(k("edit cm c -o json", KUBE_EDITOR="sed -i s/old/new/").json["data"], {"a": "new"})
    same(k.get("configmaps", "c")["data"], {"a": "new"})
    k.web()
    k("edit deploy web --subresource=scale", KUBE_EDITOR="sed -i s/replicas:.2/replicas:.1/", code=1)


@change("patch --type=strategic", "lists merge by key; `$patch: delete`", quick=True)
def _(k: Kube) -> None:
    k.web()
    k(
        [
            "patch",
            "deploy",
            "web",
            "-p",
            '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox:1.36"}]}}}}',
        ]
    ).is_("deployment.apps/web patched")
    names = [c["name"] for c in k.get("deployments.apps", "web")["spec"]["template"]["spec"]["containers"]]
    same(names, ["side", "nginx"])
    k(
        [
            "patch",
            "deploy",
            "web",
            "-p",
            '{"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}]}}}}',
        ]
    )
    same(container(k)["name"], "nginx")
    k.settle(60)
    k(["patch", "deploy", "web", "-p", '{"metadata":{"labels":{"app":"web"}}}']).is_(
        "deployment.apps/web patched (no change)"
    )


@change("patch --type=merge / json", "null removes; JSON patch with test")
def _(k: Kube) -> None:
    k.config_map("c", a="1", b="2")
    k(["patch", "cm", "c", "--type=merge", "-p", '{"data":{"a":null,"c":"3"}}'])
    same(k.get("configmaps", "c")["data"], {"b": "2", "c": "3"})
    k(["patch", "cm", "c", "--type=json", "-p", '[{"op":"replace","path":"/data/b","value":"9"}]'])
    same(k.get("configmaps", "c")["data"]["b"], "9")
    k(["patch", "cm", "c", "--type=json", "-p", '[{"op":"test","path":"/data/b","value":"0"}]'], code=1)


@change("patch --subresource / --patch-file / --local / --dry-run", "scale and status by patch; nothing kept when dry")
def _(k: Kube) -> None:
    k.web()
    k(["patch", "deploy", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":3}}'])
    same(k.get("deployments.apps", "web")["spec"]["replicas"], 3)
    k.file("p.yaml", "spec:\n  replicas: 1\n")
    k("patch deploy web --patch-file=p.yaml --dry-run=server")
    same(k.get("deployments.apps", "web")["spec"]["replicas"], 3)
    k("patch deploy web --patch-file=p.yaml")
    same(k.get("deployments.apps", "web")["spec"]["replicas"], 1)
    k.file("c.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})
    same(k(["patch", "-f", "c.yaml", "--local", "-p", '{"data":{"x":"y"}}', "-o", "json"]).json["data"], {"x": "y"})


@change("label", "add, refuse and allow overwriting, remove, `-l`, `--all`, `--list`, `--resource-version`")
def _(k: Kube) -> None:
    k.config_map("c")
    k("label cm c tier=front").is_("configmap/c labeled")
    k("label cm c tier=back", code=1).warns("already has a value (front), and --overwrite is false")
    k("label cm c tier=back --overwrite")
    same(k.get("configmaps", "c")["metadata"]["labels"], {"tier": "back"})
    k("label cm -l tier=back x=y")
    k("label cm c --list").says("tier=back", "x=y")
    k("label cm c tier- x-").is_("configmap/c unlabeled")
    same(k.get("configmaps", "c")["metadata"].get("labels"), None)
    k("label cm c a=b --resource-version=1", code=1).warns("the object has been modified")


@change("annotate", "add, overwrite, remove, `--list`")
def _(k: Kube) -> None:
    k.config_map("c")
    k(["annotate", "cm", "c", "note=two words"]).is_("configmap/c annotated")
    same(k.get("configmaps", "c")["metadata"]["annotations"], {"note": "two words"})
    k("annotate cm c note=x --overwrite")
    k("annotate cm c --list").says("note=x")
    k("annotate cm c note-")
    same(k.get("configmaps", "c")["metadata"].get("annotations"), None)


@change("replace", "whole object, `-f -`; a conflict; `--subresource=scale` is taken", quick=True)
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    found = k("get cm c -o json").json
    found["data"] = {"b": "2"}
    k("replace -f -", stdin=json.dumps(found)).is_("configmap/c replaced")
    same(k.get("configmaps", "c")["data"], {"b": "2"})
    k("replace -f -", stdin=json.dumps(found), code=1).warns("the object has been modified")
    k("replace -f -", stdin=json.dumps({**found, "metadata": {"name": "none"}}), code=1).warns(
        'configmaps "none" not found'
    )


@change("replace --force", "deleted and made anew: another uid")
def _(k: Kube) -> None:
    k.pod("solo")
    before = k.get("pods", "solo")["metadata"]["uid"]
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "solo"},
        "spec": {"containers": [{"name": "c", "image": "nginx:1.28"}]},
    }
    k.file("pod.yaml", manifest)
    k("replace --force --grace-period=0 -f pod.yaml").says('pod "solo"', "pod/solo replaced")
    after = k.get("pods", "solo")
    holds(after["metadata"]["uid"] != before, "same uid")
    same(after["spec"]["containers"][0]["image"], "nginx:1.28")


@delete("delete KIND NAME", "waits until it is gone; controllers make pods anew", quick=True)
def _(k: Kube) -> None:
    k.web(replicas=1)
    pod = k.all("pods")[0]["metadata"]["name"]
    k(f"delete pod {pod}").is_(f'pod "{pod}" deleted from {k.namespace} namespace')
    k.gone("pods", pod)
    k.settle()
    same([p["status"]["phase"] for p in k.all("pods")], ["Running"])
    k("delete deploy web")
    k.settle()
    same(k.all("pods"), [])
    k("delete deploy web", code=1).warns('deployments.apps "web" not found')
    k("delete deploy web --ignore-not-found")


@delete("delete -l, --all, --field-selector, -f", "what is chosen goes, and only that")
def _(k: Kube) -> None:
    for name, labels in (("a", {"t": "x"}), ("b", {"t": "x"}), ("c", {}), ("d", {})):
        k.post(f"/api/v1/namespaces/{k.namespace}/configmaps", {"metadata": {"name": name, "labels": labels}})
    k("delete cm -l t=x")
    k("delete cm --field-selector=metadata.name=c")
    same([o["metadata"]["name"] for o in k.all("configmaps")], ["d", "kube-root-ca.crt"])
    k.file("d.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}})
    k("delete -f d.yaml").is_(f'configmap "d" deleted from {k.namespace} namespace')
    k.gone("configmaps", "d")
    k.config_map("e")
    k("delete cm --all")
    k.gone("configmaps", "e")


@delete("delete --cascade=orphan / foreground / background", "what is left behind, and who goes first", quick=True)
def _(k: Kube) -> None:
    k.web("a")
    k("delete deploy a --cascade=orphan")
    k.settle()
    sets = k.all("replicasets.apps")
    same(len(sets), 1, "replica sets")
    same(sets[0]["metadata"].get("ownerReferences"), None)
    same(len(k.all("pods")), 2, "pods")
    k("delete rs --all --cascade=foreground")
    same((k.all("replicasets.apps"), k.all("pods")), ([], []))


@delete("delete --now, --grace-period, --force", "a pod that will not end; gone at once by force")
def _(k: Kube) -> None:
    k.pod("slow", image="busybox:1.36", command=["sh", "-c", "trap '' TERM; sleep 10000"])
    k("delete pod slow --wait=false")
    holds(k.get("pods", "slow")["metadata"].get("deletionTimestamp"), "not terminating")
    same(k.get("pods", "slow")["metadata"]["deletionGracePeriodSeconds"], 30)
    k("delete pod slow --grace-period=0 --force").warns("Immediate deletion does not wait for confirmation")
    k.gone("pods", "slow")
    k.pod("quick")
    k("delete pod quick --now")
    k.gone("pods", "quick")


@delete("delete --dry-run, --wait=false, --timeout", "finalizers hold; the deletion time is set")
def _(k: Kube) -> None:
    k.post(
        f"/api/v1/namespaces/{k.namespace}/configmaps",
        {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}},
    )
    k("delete cm held --dry-run=server").says('configmap "held" deleted', "(server dry run)")
    same(k.get("configmaps", "held")["metadata"].get("deletionTimestamp"), None)
    k("delete cm held --timeout=1s", code=1).warns("timed out waiting for the condition on configmaps/held")
    holds(k.get("configmaps", "held")["metadata"].get("deletionTimestamp"), "not being deleted")
    k(["patch", "cm", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'])
    k.gone("configmaps", "held")


@delete("delete namespace", "everything in it goes, then it")
def _(k: Kube) -> None:
    k.web()
    k(f"delete namespace {k.namespace}").is_(f'namespace "{k.namespace}" deleted')
    k.gone("namespaces", k.namespace, "")
    same((k.all("pods"), k.all("deployments.apps")), ([], []))


@delete("delete -i, --raw", "asks before it deletes; a path")
def _(k: Kube) -> None:
    k.config_map("c")
    k("delete cm c -i", stdin="n\n").says(
        "You are about to delete the following 1 resource(s):", "deletion is cancelled"
    )
    k.get("configmaps", "c")
    k("delete cm c -i", stdin="y\n")
    k.gone("configmaps", "c")
    k.config_map("d")
    k(f"delete --raw /api/v1/namespaces/{k.namespace}/configmaps/d")
    k.gone("configmaps", "d")


def manifest(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"app": "x"}}, "data": data}


@apply("apply -f", "created, configured, unchanged; a field dropped from the file goes, foreign ones stay", quick=True)
def _(k: Kube) -> None:
    k.file("c.yaml", manifest(a="1", b="2"))
    k("apply -f c.yaml").is_("configmap/c created")
    k("apply -f c.yaml").is_("configmap/c unchanged")
    k(["patch", "cm", "c", "--type=merge", "-p", '{"data":{"foreign":"stays"}}'])
    k.file("c.yaml", manifest(a="9"))
    k("apply -f c.yaml").is_("configmap/c configured")
    same(k.get("configmaps", "c")["data"], {"a": "9", "foreign": "stays"})
    holds(
        "kubectl.kubernetes.io/last-applied-configuration" in k.get("configmaps", "c")["metadata"]["annotations"],
        "no note of it",
    )


@apply("apply -f DIR, -R, -f -, -k", "folders, standard input, a kustomization")
def _(k: Kube) -> None:
    k.file("many/a.yaml", {**manifest(a="1"), "metadata": {"name": "a"}})
    k.file("many/deep/b.yaml", {**manifest(), "metadata": {"name": "b"}})
    k("apply -f many").is_("configmap/a created")
    k("apply -R -f many").is_("configmap/a unchanged\nconfigmap/b created")
    k("apply -f -", stdin=json.dumps(manifest(x="y"))).is_("configmap/c created")
    kustomization(k)
    k("apply -k kz").says("configmap/dev-settings-", "service/dev-web created")


@apply("apply --dry-run=client / server", "says what would be, keeps nothing; the server's answer has its defaults")
def _(k: Kube) -> None:
    k.file("c.yaml", manifest(a="1"))
    k("apply -f c.yaml --dry-run=client").is_("configmap/c created (dry run)")
    shown = k("apply -f c.yaml --dry-run=server -o json").json
    holds(shown["metadata"].get("uid"), "no uid")
    k.gone("configmaps", "c")


@apply(
    "apply --server-side",
    "ownership of fields, a conflict that names the owner, `--force-conflicts`, `--field-manager`",
    quick=True,
)
def _(k: Kube) -> None:
    k.file("c.yaml", manifest(a="1"))
    k("apply --server-side -f c.yaml --field-manager=one").is_("configmap/c serverside-applied")
    k.file("c.yaml", manifest(a="2"))
    k("apply --server-side -f c.yaml --field-manager=two", code=1).warns(
        'Apply failed with 1 conflict: conflict with "one": .data.a'
    )
    k("apply --server-side -f c.yaml --field-manager=two --force-conflicts")
    same(k.get("configmaps", "c")["data"], {"a": "2"})
    owners = {m["manager"]: json.dumps(m["fieldsV1"]) for m in k.get("configmaps", "c")["metadata"]["managedFields"]}
    holds('"f:a"' in owners["two"] and '"f:a"' not in owners["one"], f"owners {owners}")
    k.file("c.yaml", {**manifest(), "data": {}})
    k("apply --server-side -f c.yaml --field-manager=two")
    same(k.get("configmaps", "c").get("data"), None)


@apply("apply --prune", "what is labelled and no longer in the files goes; `--prune-allowlist`")
def _(k: Kube) -> None:
    one, two = manifest(a="1"), manifest(a="2")
    two["metadata"] = {"name": "d", "labels": {"app": "x"}}
    k.file("all.yaml", [one, two])
    k("apply -f all.yaml --prune -l app=x --prune-allowlist=core/v1/ConfigMap")
    k.file("all.yaml", [one])
    k("apply -f all.yaml --prune -l app=x --prune-allowlist=core/v1/ConfigMap").says(
        "configmap/c unchanged", "configmap/d pruned"
    )
    k.gone("configmaps", "d")


@apply("apply --force / --validate / --overwrite", "immutable fields by making the object anew; strict fields")
def _(k: Kube) -> None:
    container = {"name": "c", "image": "busybox:1.36"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}}
    k.file("j.yaml", job)
    k("apply -f j.yaml")
    container["image"] = "busybox:1.35"
    k.file("j.yaml", job)
    k("apply -f j.yaml", code=1).warns("field is immutable")
    k("apply -f j.yaml --force --grace-period=0").says("job.batch/j configured")
    same(k.get("jobs.batch", "j")["spec"]["template"]["spec"]["containers"][0]["image"], "busybox:1.35")
    k("apply -f -", stdin=json.dumps({**manifest(), "dato": {}}), code=1).warns('unknown field "dato"')


@apply("apply view- / set- / edit-last-applied", "the note of what was applied last")
def _(k: Kube) -> None:
    k.config_map("c", a="old")
    k.file("c.yaml", manifest(a="old"))
    k("apply view-last-applied cm c").is_("")
    k("apply set-last-applied -f c.yaml", code=1).warns("no last-applied-configuration annotation found")
    k("apply set-last-applied -f c.yaml --create-annotation").is_("configmap/c configured")
    same(k("apply view-last-applied cm c -o json").json["data"], {"a": "old"})
    k("apply edit-last-applied cm c", KUBE_EDITOR="sed -i s/old/new/").says("configmap/c edited")
    same(k("apply view-last-applied cm c -o json").json["data"], {"a": "new"})
    same(k.get("configmaps", "c")["data"], {"a": "old"})


@apply("diff", "exit 0 without, 1 with a difference; `--server-side`; nothing is changed", quick=True)
def _(k: Kube) -> None:
    k.file("c.yaml", manifest(a="1"))
    k("diff -f c.yaml", code=1).says("+data:")
    k.gone("configmaps", "c")
    k("apply -f c.yaml")
    k("diff -f c.yaml").is_("")
    k.file("c.yaml", manifest(a="2"))
    k("diff -f c.yaml", code=1).says('- a: "1"', '+ a: "2"')
    k("diff --server-side --force-conflicts -f c.yaml", code=1).says('+ a: "2"')
    same(k.get("configmaps", "c")["data"], {"a": "1"})


@apply("kustomize", "builds without a cluster")
def _(k: Kube) -> None:
    kustomization(k)
    k("kustomize kz").says("name: dev-web", "mode: fast")


@wait("wait --for=condition", "met, not met in time, `=false`, several, `--all`", quick=True)
def _(k: Kube) -> None:
    k.web()
    k("wait --for=condition=Available deploy/web --timeout=30s").is_("deployment.apps/web condition met")
    k("wait --for=condition=Ready pod --all --timeout=30s").says("condition met")
    k.pod("bad", image="nginx:does-not-exist")
    k("wait --for=condition=Ready pod/bad --timeout=1s", code=1).warns(
        "timed out waiting for the condition on pods/bad"
    )
    k("wait --for=condition=Ready=false pod/bad --timeout=30s").is_("pod/bad condition met")


@wait("wait --for=jsonpath", "a value, or any value")
def _(k: Kube) -> None:
    k("run solo --image=nginx:1.27")
    k("wait --for=jsonpath={.status.phase}=Running pod/solo --timeout=60s").is_("pod/solo condition met")
    k("wait --for=jsonpath={.status.podIP} pod/solo --timeout=60s").is_("pod/solo condition met")


@wait("wait --for=delete / create", "until it is gone, or there")
def _(k: Kube) -> None:
    k.pod("solo")
    k("wait --for=delete pod/solo --timeout=1s", code=1).warns("timed out waiting for the condition on pods/solo")
    k("delete pod solo --wait=false")
    k("wait --for=delete pod/solo --timeout=60s")
    k.gone("pods", "solo")
    k.config_map("c")
    k("wait --for=create cm/c --timeout=5s").is_("configmap/c condition met")


@wait("wait for a Job", "complete")
def _(k: Kube) -> None:
    k("create job j --image=busybox:1.36 -- true")
    k("wait --for=condition=complete job/j --timeout=60s").is_("job.batch/j condition met")


@change("set env --keys, set --dry-run, -c", "some keys of a ConfigMap; nothing kept when dry; one container")
def _(k: Kube) -> None:
    k.web()
    k.config_map("settings", mode="fast", level="high")
    k("set env deploy/web --from=configmap/settings --keys=MODE --dry-run=server")
    same(container(k).get("env"), None)
    k("set env deploy/web --from=configmap/settings --keys=mode -c nginx")
    same([e["name"] for e in container(k)["env"]], ["MODE"])
    k("set image deploy/web nginx=nginx:9 --dry-run=client")
    same(k.image(), "nginx:1.27")


@change("patch / label / annotate -f FILE, --local", "what files name; without a cluster")
def _(k: Kube) -> None:
    k.config_map("c", a="1")
    name = k.file("c.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})
    k(f"label -f {name} x=y").is_("configmap/c labeled")
    k(f"annotate -f {name} n=m").is_("configmap/c annotated")
    k(["patch", "-f", name, "-p", '{"data":{"b":"2"}}']).is_("configmap/c patched")
    found = k.get("configmaps", "c")
    same((found["metadata"]["labels"], found["data"]), ({"x": "y"}, {"a": "1", "b": "2"}))
    same(k(f"label -f {name} only=here --local -o json").json["metadata"]["labels"], {"only": "here"})


@apply("apply to a status, with a failing document among good ones", "the good ones are applied, the bad one is told")
def _(k: Kube) -> None:
    good, bad = manifest(a="1"), manifest(a="2")
    bad["metadata"] = {"name": "Not_A_Name"}
    last = manifest(a="3")
    last["metadata"] = {"name": "last"}
    k.file("all.yaml", [good, bad, last])
    k("apply -f all.yaml", code=1).says("configmap/c created", "configmap/last created").warns(
        '"Not_A_Name" is invalid'
    )
    same({o["metadata"]["name"] for o in k.all("configmaps")}, {"c", "last", "kube-root-ca.crt"})


@apply("diff --prune", "what apply --prune would remove")
def _(k: Kube) -> None:
    one, two = manifest(a="1"), manifest(a="2")
    two["metadata"] = {"name": "d", "labels": {"app": "x"}}
    k.file("all.yaml", [one, two])
    k("apply -f all.yaml")
    k.file("all.yaml", [one])
    k("diff -f all.yaml --prune -l app=x --prune-allowlist=core/v1/ConfigMap", code=1).says("- name: d")
    k.get("configmaps", "d")


@wait("wait for several conditions, -f, --field-selector, without objects", "all must be met; none there is an error")
def _(k: Kube) -> None:
    k.web()
    k("wait --for=condition=Available --for=condition=Progressing deploy/web --timeout=30s").says("condition met")
    name = k.file("web.yaml", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})
    k(f"wait --for=condition=Available -f {name} --timeout=30s").is_("deployment.apps/web condition met")
    k("wait --for=condition=Ready pod --field-selector=status.phase=Running --timeout=30s").says("condition met")
    k("wait --for=condition=Ready pod -l none=here --timeout=1s", code=1).warns("no matching resources found")
