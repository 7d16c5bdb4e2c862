"""TLS contexts: the public authorities, and client certificates keyed by integration."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import certifi

from core.secret import Secret
from transport.deadline import TlsSocket
from transport.errors import CertificateUnusable, Phase

_REFUSING_ALERTS = frozenset({
    "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_ACCESS_DENIED", "TLSV1_ALERT_DECRYPT_ERROR",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
})  # fmt: skip
"""What a host says that refuses a client's certificate, in OpenSSL's words. Source: RFC 8446 section 6.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """
    A certificate chain and key in PEM, of exactly one integration.

    Connections made with it are shared only within that integration and that certificate.
    """

    integration_id: str
    certificate: Secret = field(repr=False)
    private_key: Secret = field(repr=False)

    @property
    def key(self) -> str:
        """Return what tells connections with this certificate from all others."""
        # The key belongs to it: whoever knows only the public certificate must not meet its connections.
        digest = hashlib.sha256(self.pem())
        return f"{self.integration_id}:{digest.hexdigest()}"

    def pem(self) -> bytes:
        """Return chain and key as one file, for TLS only."""
        return f"{self.certificate.reveal().strip()}\n{self.private_key.reveal().strip()}\n".encode()


def client_context(*, ca_file: str | None = None, certificate: ClientCertificate | None = None) -> ssl.SSLContext:
    """
    Make a context that verifies host names, TLS 1.2 or later, with our sockets.

    :param ca_file: PEM file of authorities; certifi's public ones when left out
    :raises CertificateUnusable: the client certificate or its key is not
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file or certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = TlsSocket
    if certificate is not None:
        _load(context, certificate)
    return context


def refuses_certificate(error: Exception) -> bool:
    """
    Tell whether the host refused our client certificate, or that we have none.

    With TLS 1.3 it says so after our side of the handshake is done, so that we learn it from the first exchange.
    """
    return isinstance(error, ssl.SSLError) and error.reason in _REFUSING_ALERTS


def _load(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    try:
        with _file_of(certificate.pem()) as path:
            # An empty password keeps OpenSSL from asking for one at the terminal.
            context.load_cert_chain(path, password="")
    except ssl.SSLError:
        raise CertificateUnusable("", phase=Phase.TLS) from None


@contextmanager
def _file_of(data: bytes) -> Iterator[str]:
    """Give a path to the data, for OpenSSL reads files only; in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name
