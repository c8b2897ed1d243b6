"""The graph: a table of contents of an incident's way."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from stratus.errors import UnknownNameError
from stratus.flow import edges
from stratus.flow.nodes.detection import DetectionNodes
from stratus.flow.nodes.diagnosis import DiagnosisNodes
from stratus.flow.nodes.mitigation import MitigationNodes
from stratus.flow.nodes.rehearsal import RehearsalNodes
from stratus.flow.nodes.reporting import ReportNodes
from stratus.flow.nodes.validation import ValidationNodes
from stratus.flow.rooms import RoomsFor
from stratus.flow.state import IncidentInput, IncidentOutput, State

Graph = CompiledStateGraph[Any, Any, Any, Any]

STEP_LIMIT = 400
"""Node runs of one incident, subgraphs included; LangGraph's own default of 10,007 is no limit."""


def detection_graph(rooms_for: RoomsFor) -> Graph:
    """AlertMonitor -> TelemetryCollection -> AnomalyDetection."""
    nodes = DetectionNodes(rooms_for)
    graph = StateGraph(State)
    graph.add_node("AlertMonitor", nodes.alert_monitor)
    graph.add_node("TelemetryCollection", nodes.telemetry_collection)
    graph.add_node("AnomalyDetection", nodes.anomaly_detection)
    graph.add_edge(START, "AlertMonitor")
    graph.add_edge("AlertMonitor", "TelemetryCollection")
    graph.add_edge("TelemetryCollection", "AnomalyDetection")
    graph.add_edge("AnomalyDetection", END)
    return graph.compile(name="detection")


def diagnosis_graph(rooms_for: RoomsFor) -> Graph:
    """LogAnalysis -> RootCauseAnalysis -> ActionPlanning."""
    nodes = DiagnosisNodes(rooms_for)
    graph = StateGraph(State)
    graph.add_node("LogAnalysis", nodes.log_analysis)
    graph.add_node("RootCauseAnalysis", nodes.root_cause_analysis)
    graph.add_node("ActionPlanning", nodes.action_planning)
    graph.add_edge(START, "LogAnalysis")
    graph.add_edge("LogAnalysis", "RootCauseAnalysis")
    graph.add_edge("RootCauseAnalysis", "ActionPlanning")
    graph.add_edge("ActionPlanning", END)
    return graph.compile(name="diagnosis")


def mitigation_graph(rooms_for: RoomsFor) -> Graph:
    """NL2Kubectl -> Linting (back to be repaired) -> Rehearsal -> Approval when asked for -> Execution."""
    nodes = MitigationNodes(rooms_for)
    rehearsal = RehearsalNodes(rooms_for)
    graph = StateGraph(State)
    graph.add_node("NL2Kubectl", nodes.nl2kubectl)
    graph.add_node("Linting", nodes.linting)
    graph.add_node("Rehearsal", rehearsal.rehearse)
    graph.add_node("Approval", nodes.approval)
    graph.add_node("Execution", nodes.execution)
    graph.add_edge(START, "NL2Kubectl")
    graph.add_edge("NL2Kubectl", "Linting")
    graph.add_conditional_edges("Linting", edges.after_linting)
    graph.add_conditional_edges("Rehearsal", edges.after_rehearsal)
    graph.add_conditional_edges("Approval", edges.after_approval)
    graph.add_edge("Execution", END)
    return graph.compile(name="mitigation")


STAGES = ("detection", "diagnosis", "mitigation")


def stage_graph(name: str, rooms_for: RoomsFor, *, studio: bool = False) -> Graph:
    """Build one stage as a graph of its own, with the stages before it when their results are not given.

    The mitigation stage alone never executes: it stops at the linted, rehearsed plan, since without the Validation
    and Undo around it nothing would hold up TNR.

    Args:
        name: detection, diagnosis or mitigation.
        studio: take only `IncidentInput`, so that LangGraph Studio shows a small form.

    Raises:
        UnknownNameError: no such stage.
    """
    if name not in STAGES:
        raise UnknownNameError(f"no stage {name!r}; stages: {', '.join(STAGES)}")
    graph = StateGraph(State, input_schema=IncidentInput if studio else State)
    report = ReportNodes(rooms_for)
    graph.add_node("Intake", report.intake if name != "mitigation" else report.intake_for_rehearsal)
    graph.add_node("Detection", detection_graph(rooms_for))
    graph.add_conditional_edges(
        START, edges.stage_entry(name), ["Intake", *(["Diagnosis"] if name != "detection" else [])]
    )
    graph.add_edge("Intake", "Detection")
    if name == "detection":
        graph.add_edge("Detection", END)
        return graph.compile(name=name)
    graph.add_node("Diagnosis", diagnosis_graph(rooms_for))
    graph.add_conditional_edges("Detection", edges.stage_after_detection)
    if name == "diagnosis":
        graph.add_edge("Diagnosis", END)
        return graph.compile(name=name)
    graph.add_node("Mitigation", mitigation_graph(rooms_for))
    graph.add_conditional_edges("Diagnosis", edges.stage_after_diagnosis)
    graph.add_edge("Mitigation", END)
    return graph.compile(name=name)


def incident_graph(rooms_for: RoomsFor, *, checkpointer: Any = None) -> Graph:
    """Build the whole way of an incident.

    Args:
        rooms_for: finds the wired rooms for a state.
        checkpointer: a LangGraph checkpointer; with one, an incident killed at any node goes on where it was.
            LangGraph's own server brings its own and must be given a graph without.

    Returns:
        A compiled graph from `IncidentInput` to `IncidentOutput`.
    """
    validation, report = ValidationNodes(rooms_for), ReportNodes(rooms_for)
    graph = StateGraph(State, input_schema=IncidentInput, output_schema=IncidentOutput)
    graph.add_node("Intake", report.intake)
    graph.add_node("Detection", detection_graph(rooms_for))
    graph.add_node("Diagnosis", diagnosis_graph(rooms_for))
    graph.add_node("Mitigation", mitigation_graph(rooms_for))
    graph.add_node("Validation", validation.validate)
    graph.add_node("Commit", validation.commit)
    graph.add_node("Undo", validation.undo)
    graph.add_node("Report", report.report)
    graph.add_edge(START, "Intake")
    graph.add_edge("Intake", "Detection")
    graph.add_conditional_edges("Detection", edges.after_detection)
    graph.add_conditional_edges("Diagnosis", edges.after_diagnosis)
    graph.add_conditional_edges("Mitigation", edges.after_mitigation)
    graph.add_conditional_edges("Validation", edges.after_validation)
    graph.add_conditional_edges("Commit", edges.after_commit)
    graph.add_conditional_edges("Undo", edges.after_undo)
    graph.add_edge("Report", END)
    return graph.compile(checkpointer=checkpointer, name="incident").with_config(recursion_limit=STEP_LIMIT)
