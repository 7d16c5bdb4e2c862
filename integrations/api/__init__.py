"""The customer API: the frame that every room uses, and the framework's own addresses."""
