"""A throw-away certificate authority: certificates of servers and clients, and those that users ask for."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from stratus.errors import StratusError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from cryptography.x509 import CertificateBuilder, GeneralName, Name, ObjectIdentifier


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


#: How long what the authority signs is good for, at most and when nothing is asked for.
LIFE = timedelta(days=365)
#: The purposes and subjects that each signer allows: (usages it may have, usage it must have).
SIGNERS: dict[str, tuple[frozenset[str], str]] = {
    "kubernetes.io/kube-apiserver-client": (
        frozenset({"digital signature", "key encipherment", "client auth"}),
        "client auth",
    ),
    "kubernetes.io/kube-apiserver-client-kubelet": (
        frozenset({"digital signature", "key encipherment", "client auth"}),
        "client auth",
    ),
    "kubernetes.io/kubelet-serving": (
        frozenset({"digital signature", "key encipherment", "server auth"}),
        "server auth",
    ),
}


class CannotSign(StratusError):
    """A request for a certificate is one that its signer does not sign; the text says why."""


class Authority:
    """A throw-away certificate authority: its key lives as long as the process, and no seed gives it away."""

    def __init__(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stratus-throw-away-ca")])
        self._start = datetime.now(UTC) - timedelta(hours=1)
        self._end = self._start + 2 * LIFE
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        self._ski = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = self._signed(
            x509.CertificateBuilder()
            .subject_name(self._name)
            .public_key(self._key.public_key())
            .not_valid_after(self._end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(self._ski, critical=False)
        )

    def _signed(self, builder: CertificateBuilder) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        whole = builder.issuer_name(self._name).serial_number(x509.random_serial_number())
        signed = whole.not_valid_before(self._start).sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def _leaf(
        self, name: Name, key: CertificatePublicKeyTypes, purpose: ObjectIdentifier, names: list[GeneralName],
        life: timedelta = LIFE,
    ) -> bytes:  # fmt: skip
        from cryptography import x509

        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._ski)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .public_key(key)
            .not_valid_after(min(self._end, datetime.now(UTC) + life))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(authority, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return self._signed(builder)

    def server(self, hosts: tuple[str, ...]) -> tuple[bytes, bytes]:
        """Return (certificate, private key) of a server with these names and addresses."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        names: list[GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        key = ec.generate_private_key(ec.SECP256R1())
        subject_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stratus-api")])
        return self._leaf(subject_name, key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, names), _pem(key)

    def client(self, user: str, groups: tuple[str, ...]) -> tuple[bytes, bytes]:
        """Return (certificate, private key) by which somebody logs in as a user in some groups."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in groups]
        key = ec.generate_private_key(ec.SECP256R1())
        whole = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._leaf(whole, key.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH, []), _pem(key)

    def sign(self, request: bytes, signer: str, usages: list[str], seconds: int | None) -> bytes:
        """Return the certificate for a request (PEM) to one of Kubernetes' own signers.

        Raises:
            CannotSign: the signer does not sign such requests.
        """
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        try:
            wanted = x509.load_pem_x509_csr(request)
        except ValueError as error:
            raise CannotSign(f"unable to parse csr: {error}") from None
        if not wanted.is_signature_valid:
            raise CannotSign("unable to verify the signature of the request")
        allowed, needed = SIGNERS[signer]
        if needed not in usages or not set(usages) <= allowed:
            raise CannotSign(f"usages did not match {sorted(allowed)}")
        common = [str(a.value) for a in wanted.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        groups = [str(a.value) for a in wanted.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        if signer != "kubernetes.io/kube-apiserver-client":
            if groups != ["system:nodes"]:
                raise CannotSign("subject organization is not system:nodes")
            if not common or not common[0].startswith("system:node:"):
                raise CannotSign("subject common name does not begin with system:node: ")
        names: list[GeneralName] = []
        try:
            names = list(wanted.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except x509.ExtensionNotFound:
            pass
        except ValueError as error:
            raise CannotSign(f"unable to parse csr: {error}") from None
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if needed == "server auth" else ExtendedKeyUsageOID.CLIENT_AUTH
        life = min(LIFE, timedelta(seconds=seconds)) if seconds else LIFE
        return self._leaf(wanted.subject, wanted.public_key(), purpose, names, life)


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def make_identity(
    hosts: tuple[str, ...], *, user: str, groups: tuple[str, ...], authority: Authority | None = None
) -> Identity:
    """Sign a server certificate for `hosts` and a client certificate for `user`; a new authority if none is given."""
    signer = authority or Authority()
    return Identity(
        signer.certificate, *signer.server(hosts), *signer.client(user, groups), token=secrets.token_urlsafe(24)
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
