"""Who may do what on an embedded cluster: roles and bindings, accounts, tokens and certificates."""
