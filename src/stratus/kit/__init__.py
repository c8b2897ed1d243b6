"""Small tools without knowledge of the domain: clock, identifiers, text, JSON differences, retry as data."""
