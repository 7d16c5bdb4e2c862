"""The bank's throw-away authority: its own certificate, the server's and the clients', made when first asked for."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from sandbox.pix.edge import Edge
from sandbox.pix.state import State
from sandbox.store import Document

YEARS = 5
# Server and authority outlive every test; a client's is as long as asked.
LONG = timedelta(days=365 * YEARS)


class Authority:
    """Certificates by common name; for clients it is their client id."""

    def __init__(self, state: State, edge: Edge) -> None:
        self._edge = edge
        self._store = state.frame.store.collection("pix", "authority")

    def hand_out(self, client_id: str, *, days: float) -> Document:
        """Return {certificate, private_key, ca, url} of a client, in PEM; `days` below zero gives an expired one."""
        root = self._root()
        issued = _issue(client_id, lifetime=timedelta(days=days), root=root)
        self._open(root)
        return issued | {"ca": root["certificate"], "url": self._edge.url}

    def reopen(self) -> None:
        """Listen again after a restart, at the same port if it is free, if it was ever asked for."""
        if root := self._store.get("root"):
            self._open(root)

    def _root(self) -> Document:
        return self._store.get("root") or self._store.put("root", _issue("Sandbox Pix CA", lifetime=LONG, root=None))

    def _open(self, root: Document) -> None:
        server = self._store.get("server") or self._store.put("server", _issue("localhost", lifetime=LONG, root=root))
        known = self._store.get("port") or {"port": 0}
        self._edge.open(**server, authority=root["certificate"], port=known["port"])
        self._store.put("port", {"port": self._edge.port})


def _issue(name: str, *, lifetime: timedelta, root: Document | None) -> Document:
    """Return a certificate and its key; without `root` the authority itself."""
    # Imported here: a sandbox that nobody asks for certificates stays light.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, issuer = key, subject
    if root:
        issuer = x509.load_pem_x509_certificate(root["certificate"].encode()).subject
        loaded = serialization.load_pem_private_key(root["private_key"].encode(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is of another kind")
        signer = loaded
    until = datetime.now(UTC) + lifetime
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), until) - timedelta(days=1))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=root is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return {
        "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "private_key": pem.decode(),
    }
