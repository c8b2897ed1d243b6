"""Detection: alert intake, telemetry collection and the decision whether there is an incident at all."""
