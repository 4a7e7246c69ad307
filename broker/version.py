"""The version of this Postern."""

VERSION = "0.1.0"
