"""The key that a site is known by: made at the site, its public half handed to the server."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from flwr.supercore.primitives.asymmetric import (
    generate_key_pairs,
    private_key_to_bytes,
    public_key_to_bytes,
)

from secondread.errors import CannotOpen, CannotWrite
from secondread.files import write_bytes

Pair = tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey]


def make_keys(path: Path) -> Path:
    """Write a private key to `path`, for its owner alone, and the public one beside it; returns the latter's path.

    Raises CannotWrite for a key that is there already: whoever replaces it is another site.
    """
    public_path = path.with_suffix(".pub")
    for existing in (path, public_path):
        if existing.exists():
            raise CannotWrite(f"'{existing}' is there already; name another file, or delete it to become a new site")
    private, public = generate_key_pairs()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, private_key_to_bytes(private), private=True)
    write_bytes(public_path, public_key_to_bytes(public))
    return public_path


def load_keys(path: Path) -> Pair:
    """A site's own pair. Raises CannotOpen."""
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CannotOpen(f"'{path}' is no key of `secondread federate key`: {error}") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise CannotOpen(f"'{path}' is a key of another kind; make one with `secondread federate key`")
    return private, private.public_key()


def public_bytes(path: Path) -> bytes:
    """The public key as Flower knows sites by. Raises CannotOpen."""
    try:
        public = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise CannotOpen(f"'{path}' is no public key of `secondread federate key`: {error}") from error
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise CannotOpen(f"'{path}' is a key of another kind; make one with `secondread federate key`")
    return public_key_to_bytes(public)
