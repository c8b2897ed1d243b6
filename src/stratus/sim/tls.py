"""A throw-away certificate authority: a server certificate and a client certificate that live as long as the server."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """Certificates in PEM.

    Attributes:
        ca: the authority's certificate.
        server_cert: the server's certificate.
        server_key: the server's private key.
        client_cert: a client certificate for an administrator.
        client_key: the client's private key.
        token: a bearer token that stands for the same administrator.
    """

    ca: bytes
    server_cert: bytes
    server_key: bytes
    client_cert: bytes
    client_key: bytes
    token: str


def make_identity(hosts: tuple[str, ...], *, user: str, groups: tuple[str, ...]) -> Identity:
    """Make an authority and sign a server certificate for `hosts` and a client certificate for `user`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.now(UTC)
    start, end = now - timedelta(hours=1), now + timedelta(days=2)

    def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
        plain = serialization.NoEncryption()
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)

    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stratus-throw-away-ca")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca_ski = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        x509.CertificateBuilder()
        .subject_name(ca_name)
        .issuer_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(ca_ski, critical=False)
        .sign(ca_key, hashes.SHA256())
    )

    def issue(name: x509.Name, purpose: x509.ObjectIdentifier, names: list[x509.GeneralName]) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_ski)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(authority, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(ca_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM), key_pem(key)

    alternatives: list[x509.GeneralName] = []
    for host in hosts:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            alternatives.append(x509.DNSName(host))
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stratus-api")])
    server_cert, server_key = issue(server_name, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in groups]
    client_name = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    client_cert, client_key = issue(client_name, ExtendedKeyUsageOID.CLIENT_AUTH, [])
    token = secrets.token_urlsafe(24)
    return Identity(
        ca.public_bytes(serialization.Encoding.PEM), server_cert, server_key, client_cert, client_key, token
    )


def server_context(identity: Identity) -> ssl.SSLContext:
    """Return a server-side TLS context that asks for, but does not insist on, a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=identity.ca.decode())
    # The standard library loads key pairs from files only.
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "server.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(identity.server_key + identity.server_cert)
        context.load_cert_chain(pair)
    return context


def subject(certificate: dict[str, object]) -> tuple[str, tuple[str, ...]]:
    """Return (common name, organisations) of a peer certificate as `ssl` describes it."""
    name, groups = "", []
    for part in certificate.get("subject") or ():  # type: ignore[attr-defined]
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return name, tuple(groups)
