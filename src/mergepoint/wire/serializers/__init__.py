"""How values become bytes: JSON, MessagePack, signed, or what an entry point adds."""

from mergepoint.wire.serializers.contract import Refused, Serializer
from mergepoint.wire.serializers.named import reader_of, serializer_named

__all__ = ["Refused", "Serializer", "reader_of", "serializer_named"]
