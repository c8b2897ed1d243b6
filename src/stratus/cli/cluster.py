"""`stratus cluster`: serve an embedded cluster, and let things happen to it."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stratus.cli.clusterclient import commands, read_arguments, show, show_status
from stratus.cli.options import Json
from stratus.cli.output import console
from stratus.errors import UsageError

if TYPE_CHECKING:
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.sim.faults.noise import Level as NoiseLevel

app = typer.Typer(help="The embedded Kubernetes cluster.", no_args_is_help=True)

#: Seconds of normal life an application has behind it when it is served.
WARMUP = 600.0
DEFAULT_APP = "hotel-reservation"

Control = Annotated[
    Path | None,
    typer.Option(
        "--control", help="Control file of the running cluster (else next to $KUBECONFIG, or in this folder)."
    ),
]
State = Annotated[
    Path | None, typer.Option("--state", help="State file of a cluster that is not running, to act on instead.")
]
App = Annotated[
    str | None, typer.Option("--app", help="Application name or file; `none` for an empty cluster (hotel-reservation).")
]
Level = Annotated[str, typer.Option("--noise", help="What else goes on: `off`, `on` or `heavy`.")]
Budget = Annotated[int | None, typer.Option("--noise-budget", min=0, help="Pieces of noise at most.")]
Rules = Annotated[Path | None, typer.Option("--rules", help="Alert rules in place of the shipped ones.")]
Images = Annotated[Path | None, typer.Option("--images", help="Rules about container images, over the shipped ones.")]
Faults = Annotated[Path | None, typer.Option("--faults", help="File of further faults.")]


@app.command("up")
def up(
    app_name: App = None,
    fault: Annotated[list[str] | None, typer.Option("--fault", help="Fault to inject; repeatable.")] = None,
    scenario: Annotated[Path | None, typer.Option("--scenario", help="Scenario to play.")] = None,
    noise: Level = "off",
    noise_budget: Budget = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="Keep the cluster in this file; an existing one goes on.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    telemetry_port: Annotated[
        int | None,
        typer.Option(
            "--telemetry-port",
            min=0,
            max=65535,
            help="Serve telemetry (Prometheus, Alertmanager, Jaeger, Loki) here; 0 takes a free port.",
        ),
    ] = None,
    kubeconfig_out: Annotated[Path | None, typer.Option("--kubeconfig-out", help="Write a kubeconfig here.")] = None,
    viewer_kubeconfig_out: Annotated[
        Path | None, typer.Option("--viewer-kubeconfig-out", help="Write one here for a user who may only read.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of names and noise (0).")] = None,
    nodes: Annotated[int | None, typer.Option("--nodes", min=1, max=500, help="Worker nodes (3).")] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Where the application lives; else as it says.")
    ] = None,
    images: Images = None,
    rules: Rules = None,
    faults: Faults = None,
    speed: Annotated[float, typer.Option("--speed", min=0.1, help="Cluster seconds per wall second.")] = 1.0,
    stand_still: Annotated[
        bool, typer.Option("--stand-still", help="Time passes only with `stratus cluster advance`.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Serve a cluster over HTTPS until interrupted, and print how to reach it."""
    from stratus.sim.commanding import Commands
    from stratus.sim.faults.scenario import load_scenario
    from stratus.sim.remote import SUFFIX, ControlFront, write_private

    out = console(machine=as_json)
    played = load_scenario(scenario) if scenario is not None else None
    with _stopping() as stop, ExitStack() as stack:
        options = {"namespace": namespace, "images": images, "rules": rules, "faults": faults}
        cluster = stack.enter_context(_made(app_name, seed, nodes, state, noise, noise_budget, options))
        if not stand_still:
            _catch_up(cluster)
        if played is not None:
            cluster.play(played)
        for name in fault or []:
            if name not in cluster.injected():
                cluster.inject(name)
        follow = not stand_still
        front = stack.enter_context(cluster.serve(host=host, port=port, speed=speed, follow_wall_clock=follow))
        told: dict[str, Any] = {"url": front.url}
        if telemetry_port is not None:
            told["telemetry"] = stack.enter_context(cluster.serve_telemetry(host=host, port=telemetry_port)).url
        path = kubeconfig_out or Path(f"stratus-{front.port}.kubeconfig")
        control = path.with_name(path.name + SUFFIX)
        told |= {"kubeconfig": str(path.resolve()), "application": cluster.application}
        endpoint = stack.enter_context(ControlFront(Commands(cluster, stop.set)))
        stack.callback(_remove, control)
        endpoint.write(control, told)
        if viewer_kubeconfig_out is not None:
            write_private(viewer_kubeconfig_out, front.kubeconfig(user="viewer"), "kubeconfig")
        write_private(path, front.kubeconfig(), "kubeconfig")
        if as_json:
            show({**told, "control": str(control.resolve())}, True)
        else:
            out.print(f"serving {front.url}", markup=False)
            if "telemetry" in told:
                out.print(f"telemetry {told['telemetry']}", markup=False)
            out.print(f"  export KUBECONFIG={path.resolve()}", markup=False)
            out.print("  kubectl get pods -A", markup=False)
            out.print("  stratus cluster faults; stratus cluster inject ID", markup=False)
            out.print(f"  stratus respond --kubeconfig {path} --mode auto", markup=False)
            out.print("Ctrl-C ends it.", style="dim")
        stop.wait()
    return 0


def _made(
    app_name: str | None,
    seed: int | None,
    nodes: int | None,
    state: Path | None,
    noise: str,
    budget: int | None,
    options: dict[str, Any],
) -> EmbeddedCluster:
    """Start a cluster, or go on with the one of a state file, as that was made."""
    from stratus.sim.cluster import EmbeddedCluster

    levels: dict[str, NoiseLevel] = {"off": "off", "on": "on", "heavy": "heavy"}
    if noise not in levels:
        raise UsageError(f"no noise level {noise!r}; there are {', '.join(levels)}")
    if state is not None and state.exists():
        cluster = _reopened(state, app_name, seed, nodes, options)
        if noise not in ("off", cluster.faulting.noise.level) or budget is not None:
            present = cluster.faulting.noise.level
            cluster.close()
            raise UsageError(
                f"the cluster in {state} goes on as it is, with noise {present!r}: leave --noise and "
                f"--noise-budget out, and change it with `stratus cluster noise LEVEL --state {state}`"
            )
        return cluster
    application = None if app_name in ("none", "") else (app_name or DEFAULT_APP)
    # Clients in other processes compare the cluster's timestamps with their own clock: it has to be the same one.
    begun = math.floor(time.time()) - (WARMUP if application is not None else 0.0)
    made: dict[str, Any] = {"seed": seed or 0, "nodes": nodes or 3, "warmup": WARMUP, "epoch": begun}
    cluster = EmbeddedCluster(app=application, state_file=state, **made, **options)
    if noise != "off":
        cluster.set_noise(levels[noise], budget)
    return cluster


def _reopened(
    state: Path, app_name: str | None = None, seed: int | None = None, nodes: int | None = None,
    options: dict[str, Any] | None = None,
) -> EmbeddedCluster:  # fmt: skip
    """Open the cluster of a state file; what is not given is as it was made."""
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.sim.persist import InputLog

    made = InputLog.made(state)
    application = app_name or made.get("app")
    given: dict[str, Any] = {"seed": seed, "nodes": nodes, **(options or {})}
    kept: dict[str, Any] = {k: made[k] for k in ("seed", "nodes", "warmup", "namespace", "epoch") if k in made}
    known: dict[str, Any] = {**kept, **{k: v for k, v in given.items() if v is not None}}
    if "noise" in made:
        known["noise"], known["noise_budget"] = made["noise"]
    app_now = None if application in (None, "none", "") else application
    return EmbeddedCluster(app=app_now, state_file=state, **known)


def _catch_up(cluster: EmbeddedCluster) -> None:
    """Let the cluster come to the present."""
    cluster.advance(max(0.0, time.time() - cluster.clock.now()))


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Turn the signals that end a server into an event, from the first moment on."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def _opened(state: Path) -> Iterator[EmbeddedCluster]:
    cluster = _reopened(state)
    try:
        yield cluster
    finally:
        cluster.close()


def _call(verb: str, data: Any, control: Path | None, state: Path | None) -> dict[str, Any]:
    """Carry out a command on the cluster that is running, or on the one of a state file."""
    if state is None:
        return commands(control).call(verb, data)
    if control is not None:
        raise UsageError("give either --control or --state")
    from stratus.sim.commanding import Commands

    with _opened(state) as cluster:
        return Commands(cluster).call(verb, data)


@app.command("inject")
def inject(
    fault: Annotated[str | None, typer.Argument(help="Fault to inject, see `stratus cluster faults`.")] = None,
    arg: Annotated[list[str] | None, typer.Option("--arg", help="Argument as `name=value`; repeatable.")] = None,
    name: Annotated[str, typer.Option("--name", help="What to call it; needed to inject a fault twice.")] = "",
    at: Annotated[float, typer.Option("--at", min=0, help="Seconds until it begins.")] = 0.0,
    duration: Annotated[float | None, typer.Option("--for", help="Seconds after which it is taken back.")] = None,
    every: Annotated[float | None, typer.Option("--every", help="Seconds from one beginning to the next.")] = None,
    times: Annotated[int | None, typer.Option("--times", min=1, help="How often it comes, with --every.")] = None,
    ramp: Annotated[
        str | None, typer.Option("--ramp", help="Argument that grows: `name=START:SECONDS`, up to its value.")
    ] = None,
    scenario: Annotated[Path | None, typer.Option("--scenario", help="Play a scenario instead.")] = None,
    control: Control = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Let a fault begin, now or later."""
    if (fault is None) == (scenario is None):
        raise UsageError("say which fault to inject, or give a --scenario")
    if scenario is not None:
        from stratus.sim.faults.scenario import load_scenario

        data: dict[str, Any] = load_scenario(scenario).model_dump(exclude_none=True)
        found = _call("scenario", data, control, state)
        show(found, as_json, f"injected {', '.join(found['injected'])}")
        return 0
    times_of = {"onset": at, "duration": duration, "every": every, "times": times, "ramp": _ramp(ramp)}
    data = {"fault": fault, "name": name, "arguments": read_arguments(arg or [])}
    data |= {k: v for k, v in times_of.items() if v is not None}
    found = _call("inject", data, control, state)
    one = found.get("injected") or {}
    when = f"; it begins at {one['next']}" if one.get("state") == "waiting" else ""
    show(found, as_json, f"injected {one.get('name', fault)}{when}", one.get("problems", ()))
    return 0


def _ramp(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    argument, _, rest = text.partition("=")
    start, _, over = rest.partition(":")
    try:
        return {"argument": argument, "start": float(start), "over": float(over)}
    except ValueError:
        raise UsageError(f"--ramp is `name=START:SECONDS`, such as `factor=1:120`, not {text!r}") from None


@app.command("heal")
def heal(
    names: Annotated[list[str] | None, typer.Argument(help="Injected faults to take back.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    control: Control = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Take back what faults have changed, and only that."""
    found = _call("heal", {"names": names or [], "all": everything}, control, state)
    left = [f"{name}: {text}" for name, texts in found["not_taken_back"].items() for text in texts]
    show(found, as_json, f"healed {', '.join(found['healed']) or 'nothing: no fault is injected'}", left)
    return 0


@app.command("noise")
def noise(
    level: Annotated[str, typer.Argument(help="`off`, `on` or `heavy`.")],
    budget: Annotated[int | None, typer.Option("--budget", min=0, help="Pieces of noise at most.")] = None,
    control: Control = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Say how much else goes on: warnings, flapping pods, harmless changes."""
    found = _call("noise", {"level": level, "budget": budget}, control, state)
    show(found, as_json, f"noise is {level}")
    return 0


@app.command("advance")
def advance(
    seconds: Annotated[float, typer.Argument(min=0, help="Seconds of cluster time.")],
    control: Control = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Let time pass in the cluster at once."""
    found = _call("advance", {"seconds": seconds}, control, state)
    show(found, as_json, f"it is {found['now']}")
    return 0


@app.command("status")
def status(control: Control = None, state: State = None, as_json: Json = False) -> int:
    """Show objects, traffic, alerts, faults and noise of a cluster."""
    show_status(_call("status", {}, control, state), as_json)
    return 0


@app.command("down")
def down(control: Control = None, as_json: Json = False) -> int:
    """End the cluster that is running."""
    show(_call("down", {}, control, None), as_json, "it ends")
    return 0


@app.command("apps")
def apps(as_json: Json = False) -> int:
    """List the applications that come along."""
    from stratus.sim.apps.loader import load_application, shipped

    found = []
    for name in shipped():
        loaded = load_application(name)
        workloads = sum(o["kind"] in ("Deployment", "StatefulSet", "DaemonSet") for o in loaded.objects)
        found.append({"name": name, "namespace": loaded.app.namespace, "workloads": workloads})
    lines = [f"{a['name']:<22} {a['workloads']:>3} workloads, namespace {a['namespace']}" for a in found]
    show({"apps": found}, as_json, *lines)
    return 0


@app.command("faults")
def faults_(
    app_name: Annotated[
        str | None, typer.Option("--app", help="Application name or file; `none`: the faults for any workload.")
    ] = None,
    faults: Faults = None,
    as_json: Json = False,
) -> int:
    """List the faults that can be injected into an application."""
    from stratus.sim.apps.loader import load_application
    from stratus.sim.commanding import described
    from stratus.sim.faults.engine import FaultEngine

    chosen = DEFAULT_APP if app_name is None else app_name
    loaded = None if chosen in ("none", "") else load_application(chosen)
    found = [described(f) for f in FaultEngine.load(loaded, faults).known()]
    if as_json:
        show({"faults": found}, True)
        return 0
    for fault in found:
        taken = "".join(f" {k}={'…' if v is None else v}" for k, v in fault["arguments"].items())
        console().print(f"[bold]{fault['id']:<28}[/] {fault['description']}[dim]{taken}[/]")
    return 0
