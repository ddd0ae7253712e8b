"""Disks as an NFC export sends them, decoded to sparse scratch while they arrive."""

from converters.disks.nfc.stream import StreamDecoder, StreamFormat, StreamResult

__all__ = ["StreamDecoder", "StreamFormat", "StreamResult"]
