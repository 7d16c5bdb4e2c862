"""Customers' event endpoints: who is told of published facts, signed by the Standard Webhooks scheme."""
