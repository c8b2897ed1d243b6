"""The whole way of an incident, for LangGraph Studio and `langgraph dev`.

Without configuration it runs on the embedded cluster; set STRATUS_KUBECONFIG to use a real one. The server keeps its
own checkpoints, so the graph is compiled without.
"""

from stratus.wiring.studio import studio_graph

graph = studio_graph("incident")
