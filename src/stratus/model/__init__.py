"""The nouns: frozen data that every room speaks in; no IO here."""
