"""
The keys of every organization, and the one door to what they seal.

`cipher` holds all cryptography, `keys` the master keys, `models` the wrapped organization keys and
`services` the door: `seal`, `open_secrets`, `open_bytes`. Nothing else in the product decrypts.
"""
