"""As far as a linted, rehearsed plan; never executes, since nothing here would validate or undo."""

from stratus.wiring.studio import studio_graph

graph = studio_graph("mitigation")
