"""Detection alone: is there an incident?"""

from stratus.wiring.studio import studio_graph

graph = studio_graph("detection")
