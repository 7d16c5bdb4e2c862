"""
One HTTP layer for everything that leaves: total deadlines, byte caps, pinned addresses, no redirects, no cookies.

`engine.Transport` sends a `wire.WireRequest` under `wire.Terms`. SDKs get `requests_adapter.PlainSession` or
`httpx_transport.PlainClient`. It knows no vendor and no Django.
"""
