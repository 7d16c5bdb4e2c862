"""Who must be told: in-app notes now; mail and customers' endpoints on the same rows."""
