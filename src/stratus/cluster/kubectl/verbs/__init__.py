"""One module for each family of verbs; each has `compile_verb(ctx) -> Outcome`."""
