"""Prints the code that an authenticator app would show: `python examples/demo/totp.py SECRET` (RFC 6238).

For trying things out. A second factor that lies beside the first is none.
"""

import base64
import hmac
import struct
import sys
import time


def code(secret: str, at: float) -> str:
    """The six digits at a time in Unix seconds."""
    text = secret.replace(" ", "").upper()
    key = base64.b32decode(text + "=" * (-len(text) % 8))
    mac = hmac.digest(key, struct.pack(">Q", int(at) // 30), "sha1")
    start = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("error: give the secret that the enrolment page shows beside the QR code")
    print(code("".join(sys.argv[1:]), time.time()))
