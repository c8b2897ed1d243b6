"""Capsules as files: a zip of the content and its seal; a change of either is noticed."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from stratus.bench.capsules.nouns import Capsule, Seal
from stratus.errors import StratusError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONTENT, SEAL = "capsule.json", "seal.json"
MOST = 512 * 1024 * 1024
"""Bytes of content that are read at most."""
_MOMENT = (1980, 1, 1, 0, 0, 0)


class BrokenSeal(StratusError):
    """A capsule is not as it was sealed, or not by whom it should be."""

    exit_code = 2


def write(capsule: Capsule, path: Path, key: Path) -> Seal:
    """Write and sign a capsule, whole or not at all.

    Args:
        capsule: redacted already.
        path: file to write.
        key: file with the private key; made, readable by its owner only, when there is none.

    Raises:
        UsageError: a file cannot be read or written.
    """
    content = capsule.model_dump_json(by_alias=True).encode()
    private = _key(key)
    seal = Seal(
        sha256=hashlib.sha256(content).hexdigest(),
        key=private.public_key().public_bytes_raw().hex(),
        signature=private.sign(content).hex(),
    )
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as file:
            # With a moment of its own, the same incident would give another file each time.
            file.writestr(zipfile.ZipInfo(CONTENT, _MOMENT), content, zipfile.ZIP_DEFLATED)
            file.writestr(zipfile.ZipInfo(SEAL, _MOMENT), seal.model_dump_json(indent=1))
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"the capsule {path} cannot be written: {error.strerror}") from error
    return seal


def read(path: Path, *, by: str = "") -> tuple[Capsule, Seal]:
    """Read a capsule and check its seal.

    Args:
        by: public key (hex) that must have signed it; empty: whoever it was.

    Raises:
        UsageError: there is no such file, or it is no capsule.
        BrokenSeal: it was changed after it was sealed, or is signed by another key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        with zipfile.ZipFile(path) as file:
            if file.getinfo(CONTENT).file_size > MOST:
                raise UsageError(f"{path} holds more than {MOST} bytes: that is no capsule of ours")
            content, sealed = file.read(CONTENT), file.read(SEAL)
    except FileNotFoundError:
        raise UsageError(f"there is no capsule {path}") from None
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no capsule: {error}") from None
    try:
        seal = Seal.model_validate_json(sealed)
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.key))
        public.verify(bytes.fromhex(seal.signature), content)
    except (ValidationError, ValueError, InvalidSignature):
        raise BrokenSeal(f"{path} was changed after it was sealed: do not trust what it says") from None
    if hashlib.sha256(content).hexdigest() != seal.sha256:
        raise BrokenSeal(f"{path} was changed after it was sealed: do not trust what it says")
    if by and seal.key != by.lower():
        raise BrokenSeal(f"{path} is signed by {seal.key}, not by {by}")
    try:
        return Capsule.model_validate_json(content), seal
    except ValidationError as error:
        raise UsageError(
            f"{path} is of another version: {error.errors()[0]['msg']}; use the version that made it"
        ) from None


def _key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        if path.exists():
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(made.private_bytes_raw().hex() + "\n")
        return made
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read or written: {error.strerror}") from error
    except ValueError:
        raise UsageError(f"{path} is no private key: 64 hex digits are expected; move it away for a new one") from None
