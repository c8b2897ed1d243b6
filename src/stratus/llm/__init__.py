"""Chat models by name, typed answers within a budget, scripted and recorded models; nothing heavy is imported here."""
