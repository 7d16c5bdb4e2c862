"""Organizations, their schemas, and the only ways to enter one."""
