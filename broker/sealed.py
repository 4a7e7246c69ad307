"""Model fields whose value is clear in memory and sealed in the database.

A value is sealed for one place, its table, column and row: copied to another row it does not open. The clear value is
on the attribute of an instance; rows read without one (`values()`) give a `Sealed`. Such fields are written by
`save()` and `bulk_create()`, need a primary key that exists before the row does, and cannot be searched.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from broker import keystore

T = TypeVar("T", str, bytes)


class Sealed:
    """A value as the database holds it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<sealed>"


class _Clear:
    """A value set on an instance and not yet saved; wrapped so that no dump of the instance shows it."""

    __slots__ = ("value",)

    def __init__(self, value: str | bytes) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "<sealed on save>"


class _SealedAttribute(DeferredAttribute):
    """Opens on reading; until then an instance carries what the database had."""

    field: _SealedField[Any]

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        held = super().__get__(instance, cls)
        if isinstance(held, Sealed) and instance is not None:
            return self.field.open(held, instance)
        return held.value if isinstance(held, _Clear) else held

    def __set__(self, instance: models.Model, value: Any) -> None:
        if value is not None and not isinstance(value, Sealed):
            if not isinstance(value, self.field.python_type):
                raise TypeError(f"{self.field.name} takes {self.field.python_type.__name__}")
            value = _Clear(value)
        instance.__dict__[self.field.attname] = value


class _SealedField(models.Field[Any, Any], Generic[T]):
    """What the two fields share: a text column, sealed on save, opened on access."""

    python_type: type[T]
    descriptor_class = _SealedAttribute

    def get_internal_type(self) -> str:
        return "TextField"

    def encode(self, value: T) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes) -> T:
        raise NotImplementedError

    def open(self, sealed: Sealed, instance: models.Model) -> T:
        return self.decode(keystore.ring().open(sealed.text, self.place(instance)))

    def place(self, instance: models.Model) -> str:
        """What a value is sealed for: `app.model.field:primary-key`."""
        if instance.pk is None:
            raise TypeError(f"{self} needs a primary key before it is saved, such as a UUID")
        return f"{self.model._meta.label_lower}.{self.name}:{instance.pk}"

    def pre_save(self, model_instance: models.Model, add: bool) -> Sealed | None:
        held = model_instance.__dict__.get(self.attname)
        if isinstance(held, _Clear):
            sealed = keystore.ring().seal(self.encode(held.value), self.place(model_instance))  # type: ignore[arg-type]
            held = model_instance.__dict__[self.attname] = Sealed(sealed)
        return held  # type: ignore[no-any-return]

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Sealed | None:
        return None if value is None else Sealed(value)

    def get_prep_value(self, value: Any) -> str | None:
        if value is None or isinstance(value, Sealed):
            return value.text if value else None
        # A clear value got here by update(), bulk_update() or a filter: none of them knows the row.
        raise TypeError(f"{self} is written by save() and cannot be searched")

    def value_to_string(self, obj: models.Model) -> str:
        raise TypeError(f"{self} is not exported")


class SealedTextField(_SealedField[str]):
    """Text that only the key ring opens."""

    python_type = str

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode(self, data: bytes) -> str:
        return data.decode()


class SealedBytesField(_SealedField[bytes]):
    """Bytes that only the key ring opens."""

    python_type = bytes
    empty_strings_allowed = False

    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, data: bytes) -> bytes:
        return data
