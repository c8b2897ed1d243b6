"""Diagnosis: log analysis, the analyzers, the ledger of hypotheses, and planning what to do about one."""
