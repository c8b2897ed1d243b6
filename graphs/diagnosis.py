"""Detection and diagnosis: what is the cause, and what would be done?"""

from stratus.wiring.studio import studio_graph

graph = studio_graph("diagnosis")
