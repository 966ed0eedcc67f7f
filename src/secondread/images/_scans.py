"""What a JPEG will cost to decode, told from how many passes it makes over its pixels."""

from secondread.errors import UnsupportedImage

# A progressive JPEG may hold thousands of scans that each cost a pass over all pixels; this is about two seconds.
_MAX_SCAN_PIXELS = 1_200_000_000


def check_scans(stream: bytes, n_pixels: int) -> None:
    """Raise UnsupportedImage if the JPEG's scans (T.81 B.2.3) times its pixels are beyond reason."""
    if stream[:2] == b"\xff\xd8" and stream.count(b"\xff\xda") * n_pixels > _MAX_SCAN_PIXELS:
        raise UnsupportedImage(
            "this JPEG holds far more scans than an image needs; save it again as a plain JPEG or PNG"
        )
