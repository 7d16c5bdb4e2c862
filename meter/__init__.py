"""Calls, health checks and usage: counted, partitioned by day."""
