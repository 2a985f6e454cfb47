"""Who may do what: roles, bearer tokens, sessions of browsers, rate limits and the audit log of writes."""
