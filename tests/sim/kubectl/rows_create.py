"""Rows: create and its generators, run, expose, autoscale."""

from __future__ import annotations

import base64
import json

from .bench import Kube, Section, holds, same

create = Section("Create, run, expose, autoscale")


@create("create -f FILE", "several documents, sent in order; a name taken is refused")
def _(k: Kube) -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
    two = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "two"}, "stringData": {"p": "q"}}
    name = k.file("both.yaml", [one, two])
    k(f"create -f {name}").is_("configmap/one created\nsecret/two created")
    same(k.get("configmaps", "one")["data"], {"a": "1"})
    same(k.get("secrets", "two")["data"], {"p": base64.b64encode(b"q").decode()})
    k(f"create -f {name}", code=1).warns('"one" already exists', '"two" already exists')


@create(
    "create -f -",
    "from standard input; `-o name`, `--dry-run=server` keeps nothing, `--validate` refuses unknown fields",
)
def _(k: Kube) -> None:
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"in"},"data":{"k":"v"}}'
    k("create -f - --dry-run=server -o name", stdin=text).is_("configmap/in")
    k.gone("configmaps", "in")
    k("create -f -", stdin=text.replace('"data"', '"dato"'), code=1).warns('unknown field "dato"')
    k("create -f - -o name", stdin=text).is_("configmap/in")
    same(k.get("configmaps", "in")["data"], {"k": "v"})


@create("create -k DIR", "a kustomization: prefix, labels, generated ConfigMap")
def _(k: Kube) -> None:
    kustomization(k)
    k("create -k kz").says("configmap/dev-settings-", "service/dev-web created")
    same(k.get("services", "dev-web")["metadata"]["labels"], {"team": "shop"})


def kustomization(k: Kube) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    k.file("kz/service.yaml", service)
    k.file(
        "kz/kustomization.yaml",
        {
            "resources": ["service.yaml"],
            "namePrefix": "dev-",
            "labels": [{"pairs": {"team": "shop"}}],
            "configMapGenerator": [{"name": "settings", "literals": ["mode=fast"]}],
        },
    )


@create("create --raw PATH -f FILE", "posts the file as it is")
def _(k: Kube) -> None:
    name = k.file("cm.json", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"raw"}}')
    made = k(f"create --raw /api/v1/namespaces/{k.namespace}/configmaps -f {name}").json
    same(made["metadata"]["uid"], k.get("configmaps", "raw")["metadata"]["uid"])


@create("create --edit -f FILE", "what the editor leaves is created")
def _(k: Kube) -> None:
    name = k.file(
        "cm.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ed"}, "data": {"a": "old"}}
    )
    k(f"create --edit -f {name}", KUBE_EDITOR="sed -i s/old/new/").says("configmap/ed created")
    same(k.get("configmaps", "ed")["data"], {"a": "new"})


@create("create namespace", "active at once, with its service account")
def _(k: Kube) -> None:
    name = f"{k.namespace}-new"
    k(f"create namespace {name}").is_(f"namespace/{name} created")
    same(k.get("namespaces", name, "")["status"], {"phase": "Active"})
    k.get("serviceaccounts", "default", name)


@create("create deployment", "`--image` twice, `--replicas`, `--port`, `-- COMMAND`; pods run", quick=True)
def _(k: Kube) -> None:
    k("create deployment web --image=nginx:1.27 --replicas=2 --port=80").is_("deployment.apps/web created")
    spec = k.get("deployments.apps", "web")["spec"]
    same(spec["selector"], {"matchLabels": {"app": "web"}})
    same(spec["template"]["spec"]["containers"][0]["ports"], [{"containerPort": 80, "protocol": "TCP"}])
    k.settle()
    same(k.get("deployments.apps", "web")["status"].get("readyReplicas"), 2, "ready replicas")
    same({p["status"]["phase"] for p in k.all("pods")}, {"Running"})
    k("create deployment two --image=nginx:1.27 --image=busybox:1.36 -- sleep 1h", code=1)
    k("create deployment cmd --image=busybox:1.36 -- sleep 1h")
    same(k.get("deployments.apps", "cmd")["spec"]["template"]["spec"]["containers"][0]["command"], ["sleep", "1h"])


@create("create job", "`--image -- COMMAND` runs to its end; `--from=cronjob/NAME`")
def _(k: Kube) -> None:
    k("create job once --image=busybox:1.36 -- echo done").is_("job.batch/once created")
    k.settle(30)
    same(k.get("jobs.batch", "once")["status"].get("succeeded"), 1, "succeeded")
    k(["create", "cronjob", "tick", "--image=busybox:1.36", "--schedule=*/5 * * * *", "--", "date"])
    k("create job now --from=cronjob/tick").is_("job.batch/now created")
    owner = k.get("jobs.batch", "now")["metadata"]["ownerReferences"][0]
    same((owner["kind"], owner["name"]), ("CronJob", "tick"))
    same(k.get("jobs.batch", "now")["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual")


@create("create cronjob", "`--schedule`: a job is made when the minute comes")
def _(k: Kube) -> None:
    k(["create", "cronjob", "tick", "--image=busybox:1.36", "--schedule=* * * * *", "--", "date"]).says(
        "cronjob.batch/tick created"
    )
    k.settle(90)
    holds(k.all("jobs.batch"), "no job after 90 s")
    holds(k.get("cronjobs.batch", "tick")["status"].get("lastScheduleTime"), "no lastScheduleTime")


@create("create configmap", "`--from-literal`, `--from-file` (key, file, directory), `--from-env-file`", quick=True)
def _(k: Kube) -> None:
    k.file("conf/a.txt", "alpha")
    k.file("conf/b.txt", "beta")
    k.file("vars.env", "X=1\nY=two\n")
    k("create configmap lit --from-literal=a=1 --from-literal=b=2").is_("configmap/lit created")
    same(k.get("configmaps", "lit")["data"], {"a": "1", "b": "2"})
    k("create configmap files --from-file=conf --from-file=key=conf/a.txt")
    same(k.get("configmaps", "files")["data"], {"a.txt": "alpha", "b.txt": "beta", "key": "alpha"})
    k("create cm env --from-env-file=vars.env")
    same(k.get("configmaps", "env")["data"], {"X": "1", "Y": "two"})


@create("create secret generic", "`--from-literal`, `--from-file`, `--type`; data is base64")
def _(k: Kube) -> None:
    k.file("p.txt", "s3cret")
    k("create secret generic s --from-literal=user=joe --from-file=p.txt --type=example.com/kind").is_(
        "secret/s created"
    )
    found = k.get("secrets", "s")
    same(found["type"], "example.com/kind")
    same({n: base64.b64decode(v) for n, v in found["data"].items()}, {"user": b"joe", "p.txt": b"s3cret"})


@create("create secret docker-registry", "`.dockerconfigjson` with the credentials")
def _(k: Kube) -> None:
    k("create secret docker-registry reg --docker-server=r.example.com --docker-username=u --docker-password=p")
    found = k.get("secrets", "reg")
    same(found["type"], "kubernetes.io/dockerconfigjson")
    auths = json.loads(base64.b64decode(found["data"][".dockerconfigjson"]))["auths"]
    same(auths["r.example.com"]["username"], "u")


@create("create secret tls", "`--cert`, `--key` of type kubernetes.io/tls")
def _(k: Kube) -> None:
    certificate, key = pair()
    k.file("c.pem", certificate)
    k.file("k.pem", key)
    k("create secret tls t --cert=c.pem --key=k.pem").is_("secret/t created")
    found = k.get("secrets", "t")
    same((found["type"], sorted(found["data"])), ("kubernetes.io/tls", ["tls.crt", "tls.key"]))
    same(base64.b64decode(found["data"]["tls.crt"]).decode(), certificate)


def pair() -> tuple[str, str]:
    """Return a self-signed certificate and its key as PEM."""
    from stratus.sim.tls import make_identity

    made = make_identity(("localhost",), user="u", groups=())
    return made.client_cert.decode(), made.client_key.decode()


@create("create service clusterip", "`--tcp=PORT:TARGET` gets an address; `--clusterip=None` is headless")
def _(k: Kube) -> None:
    k("create service clusterip web --tcp=80:8080").is_("service/web created")
    spec = k.get("services", "web")["spec"]
    holds(spec["clusterIP"].startswith("10.96."), f"address {spec['clusterIP']}")
    same(spec["ports"], [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}])
    k("create service clusterip head --clusterip=None")
    same(k.get("services", "head")["spec"]["clusterIP"], "None")


@create("create service nodeport", "a port from the node port range, or the one asked for")
def _(k: Kube) -> None:
    k("create service nodeport web --tcp=80")
    holds(30000 <= k.get("services", "web")["spec"]["ports"][0]["nodePort"] <= 32767, "node port out of range")
    k("create service nodeport fixed --tcp=80 --node-port=31999")
    same(k.get("services", "fixed")["spec"]["ports"][0]["nodePort"], 31999)
    k("create service nodeport other --tcp=80 --node-port=31999", code=1).warns("provided port is already allocated")


@create("create service loadbalancer", "pending, with cluster address and node port")
def _(k: Kube) -> None:
    k("create service loadbalancer web --tcp=80")
    same(k.get("services", "web")["spec"]["type"], "LoadBalancer")
    same(k("get svc web").table[0]["EXTERNAL-IP"], "<pending>")


@create("create service externalname", "`--external-name`, no address")
def _(k: Kube) -> None:
    k("create service externalname db --external-name=db.example.com")
    spec = k.get("services", "db")["spec"]
    same((spec["type"], spec["externalName"], spec.get("clusterIP")), ("ExternalName", "db.example.com", None))


@create("create serviceaccount", "exists and can be given to pods")
def _(k: Kube) -> None:
    k("create serviceaccount robot").is_("serviceaccount/robot created")
    k.get("serviceaccounts", "robot")


@create("create token", "`--duration`, `--audience`; the API knows whose it is", quick=True)
def _(k: Kube) -> None:
    k("create serviceaccount robot")
    token = k("create token robot --duration=1h").out.strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    same(claims["sub"], f"system:serviceaccount:{k.namespace}:robot")
    same(claims["exp"] - claims["iat"], 3600, "life of the token")
    k.config.with_name("bare").write_text(k.config.read_text())
    who = k(["--token", token, "--kubeconfig", bare(k), "auth", "whoami", "-o", "json"]).json
    same(who["status"]["userInfo"]["username"], f"system:serviceaccount:{k.namespace}:robot")
    k("create token nobody", code=1).warns('serviceaccounts "nobody" not found')


def bare(k: Kube) -> str:
    """Return a kubeconfig that names nobody."""
    data = json.loads(k.config.read_text())
    data["users"] = [{"name": u["name"], "user": {}} for u in data["users"]]
    return str(k.folder / k.file("bare", json.dumps(data)))


@create("create role / clusterrole", "`--verb --resource --resource-name`, `--non-resource-url`, `--aggregation-rule`")
def _(k: Kube) -> None:
    k("create role reader --verb=get,list --resource=pods,deployments.apps --resource-name=web").says(
        "role.rbac.authorization.k8s.io/reader created"
    )
    same(
        k.get("roles.rbac.authorization.k8s.io", "reader")["rules"],
        [
            {"apiGroups": [""], "resourceNames": ["web"], "resources": ["pods"], "verbs": ["get", "list"]},
            {"apiGroups": ["apps"], "resourceNames": ["web"], "resources": ["deployments"], "verbs": ["get", "list"]},
        ],
    )
    name = f"{k.namespace}-urls"
    k(f"create clusterrole {name} --verb=get --non-resource-url=/metrics")
    same(
        k.get("clusterroles.rbac.authorization.k8s.io", name, "")["rules"],
        [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
    )
    k("create role bad --verb=get --resource=nonsense", code=1).warns("the server doesn't have a resource type")


@create(
    "create rolebinding / clusterrolebinding", "`--role --clusterrole --user --group --serviceaccount`; rights follow"
)
def _(k: Kube) -> None:
    k("auth can-i list pods --as=jane", code=1).is_("no")
    k("create role reader --verb=list --resource=pods")
    k("create rolebinding r --role=reader --user=jane --group=ops --serviceaccount=x:y").says(
        "rolebinding.rbac.authorization.k8s.io/r created"
    )
    same(
        [s["kind"] for s in k.get("rolebindings.rbac.authorization.k8s.io", "r")["subjects"]],
        ["User", "Group", "ServiceAccount"],
    )
    k("auth can-i list pods --as=jane").is_("yes")
    name = f"{k.namespace}-crb"
    k(f"create clusterrolebinding {name} --clusterrole=view --user={name}")
    k(f"auth can-i get deployments -A --as={name}").is_("yes")


@create("create quota", "`--hard`: counted and enforced")
def _(k: Kube) -> None:
    k("create quota q --hard=pods=1,configmaps=10").is_("resourcequota/q created")
    k.pod("one")
    same(k.get("resourcequotas", "q")["status"]["used"]["pods"], "1")
    k("run two --image=nginx:1.27", code=1).warns("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1")


@create("create poddisruptionbudget", "`--selector --min-available`; disruptions are counted")
def _(k: Kube) -> None:
    k.web(replicas=2)
    k("create pdb web --selector=app=web --min-available=1").is_("poddisruptionbudget.policy/web created")
    k.settle(5)
    same(k.get("poddisruptionbudgets.policy", "web")["status"]["disruptionsAllowed"], 1)


@create("create priorityclass", "`--value --description --preemption-policy`")
def _(k: Kube) -> None:
    k(["create", "priorityclass", "high", "--value=1000", "--description=important", "--preemption-policy=Never"])
    found = k.get("priorityclasses.scheduling.k8s.io", "high", "")
    same((found["value"], found["description"], found["preemptionPolicy"]), (1000, "important", "Never"))


@create("create ingress", "`--class --rule=host/path=svc:port,tls=secret`, `--default-backend`")
def _(k: Kube) -> None:
    k(
        [
            "create",
            "ingress",
            "web",
            "--class=nginx",
            "--rule=shop.example.com/=web:80,tls=cert",
            "--default-backend=web:80",
        ]
    )
    spec = k.get("ingresses.networking.k8s.io", "web")["spec"]
    same(spec["tls"], [{"hosts": ["shop.example.com"], "secretName": "cert"}])
    same(spec["rules"][0]["http"]["paths"][0]["backend"]["service"], {"name": "web", "port": {"number": 80}})


@create("run", "`--image --port --env --labels --command --restart`; the pod runs", quick=True)
def _(k: Kube) -> None:
    k("run solo --image=nginx:1.27 --port=80 --env=A=1 --labels=tier=x").is_("pod/solo created")
    k.settle()
    pod = k.get("pods", "solo")
    same(pod["status"]["phase"], "Running")
    same(pod["metadata"]["labels"], {"tier": "x"})
    same(pod["spec"]["containers"][0]["env"], [{"name": "A", "value": "1"}])
    k("run job --image=busybox:1.36 --restart=Never --command -- sh -c exit")
    k.settle()
    same(k.get("pods", "job")["status"]["phase"], "Succeeded")


@create("run --dry-run=client -o yaml", "prints the manifest, keeps nothing")
def _(k: Kube) -> None:
    made = k("run x --image=nginx --dry-run=client -o yaml").yaml
    same((made["kind"], made["spec"]["containers"][0]["image"]), ("Pod", "nginx"))
    k.gone("pods", "x")


@create("run --rm -i", "output of the command is shown, then the pod goes", fails="")
def _(k: Kube) -> None:
    k("run tmp --rm -i --restart=Never --image=busybox:1.36 -- echo hello").says("hello", 'pod "tmp" deleted')
    k.gone("pods", "tmp")


@create("run --expose", "Pod and Service")
def _(k: Kube) -> None:
    k("run solo --image=nginx:1.27 --port=80 --expose").says("service/solo created", "pod/solo created")
    same(k.get("services", "solo")["spec"]["selector"], {"run": "solo"})


@create("expose deployment / pod / service", "selector and ports are taken over; endpoints fill", quick=True)
def _(k: Kube) -> None:
    k.web(replicas=2)
    k("expose deployment web --port=8080 --target-port=80").is_("service/web exposed")
    spec = k.get("services", "web")["spec"]
    same((spec["selector"], spec["ports"][0]["port"], spec["ports"][0]["targetPort"]), ({"app": "web"}, 8080, 80))
    k.settle(2)
    addresses = [e for s in k.all("endpointslices.discovery.k8s.io") for e in s["endpoints"]]
    same(len(addresses), 2, "endpoints")
    pod = k.all("pods")[0]["metadata"]["name"]
    k(f"expose pod {pod} --port=80 --name=one --type=NodePort")
    holds(k.get("services", "one")["spec"]["ports"][0].get("nodePort"), "no node port")
    k("expose service web --port=81 --name=again")
    same(k.get("services", "again")["spec"]["selector"], {"app": "web"})
    k("expose deployment web --port=1", code=1).warns('services "web" already exists')


@create("autoscale", "`--min --max --cpu`; the autoscaler measures")
def _(k: Kube) -> None:
    k.web(replicas=1)
    k("set resources deploy/web --requests=cpu=100m")
    k.settle()
    k("autoscale deployment web --min=2 --max=4 --cpu=60%").is_("horizontalpodautoscaler.autoscaling/web autoscaled")
    k.settle(60)
    spec = k.get("horizontalpodautoscalers.autoscaling", "web")["spec"]
    same((spec["minReplicas"], spec["maxReplicas"]), (2, 4))
    same(spec["metrics"][0]["resource"]["target"], {"type": "Utilization", "averageUtilization": 60})
    same(k.get("deployments.apps", "web")["spec"]["replicas"], 2, "replicas raised to the minimum")


@create("create token --bound-object-kind", "the token is void once its pod is gone")
def _(k: Kube) -> None:
    k.pod("solo")
    token = k("create token default --bound-object-kind=Pod --bound-object-name=solo").out.strip()
    asking = ["--kubeconfig", bare(k), "--token", token, "auth", "whoami"]
    k(asking).says(f"system:serviceaccount:{k.namespace}:default")
    k("delete pod solo --now")
    k(asking, code=1).warns("Unauthorized")


@create("run --overrides", "a patch of the pod, merged or strategic; `--annotations`, `--privileged`")
def _(k: Kube) -> None:
    patch = '{"spec":{"nodeSelector":{"kubernetes.io/hostname":"node2"}}}'
    k(["run", "solo", "--image=nginx:1.27", f"--overrides={patch}", "--annotations=note=x", "--privileged"])
    k.settle()
    pod = k.get("pods", "solo")
    same((pod["spec"]["nodeName"], pod["metadata"]["annotations"]["note"]), ("node2", "x"))
    same(pod["spec"]["containers"][0]["securityContext"], {"privileged": True})


@create("expose --type, --session-affinity, --labels, --overrides", "further properties of the Service")
def _(k: Kube) -> None:
    k.web(replicas=1)
    options = "--type=NodePort --session-affinity=ClientIP --labels=a=b --port=80 --protocol=UDP --name=x"
    k(f"expose deployment web {options}")
    found = k.get("services", "x")
    same((found["spec"]["sessionAffinity"], found["metadata"]["labels"]), ("ClientIP", {"a": "b"}))
    same((found["spec"]["ports"][0]["protocol"], found["spec"]["type"]), ("UDP", "NodePort"))
    k(["expose", "deployment", "web", "--port=80", "--name=y", '--overrides={"spec":{"clusterIP":"None"}}'])
    same(k.get("services", "y")["spec"]["clusterIP"], "None")
