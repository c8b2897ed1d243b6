"""The way of an incident as a LangGraph graph: state, nodes, edges; the only home of LangGraph besides the wiring."""
