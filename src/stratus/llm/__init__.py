"""Chat models by name, typed answers, budgets."""
