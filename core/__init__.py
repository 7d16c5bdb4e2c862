"""The ground floor: clock, ids, secrets, redaction, errors. No models, no Django."""
