"""The version, in one place: package metadata, IDENTIFY and the command line read it here."""

__version__ = "0.1.0"
