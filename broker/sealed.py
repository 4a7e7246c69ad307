"""Model fields whose value is clear in memory and sealed in the database.

A value is sealed for one place, its table, column and row: copied to another row it does not open. The clear value is
on the attribute of an instance; rows read without one (`values()`) give a `Sealed`. Such fields are written by
`save()` and `bulk_create()`, need a primary key that exists before the row does, and cannot be searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from broker import keystore

if TYPE_CHECKING:
    TextField = models.TextField[str, str]
    BinaryField = models.BinaryField[bytes, bytes]
else:  # Django's fields take no type arguments when run
    TextField, BinaryField = models.TextField, models.BinaryField


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

    field: _SealedField  # type: ignore[assignment]

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


class _SealedField:
    """What the two fields share: a text column, sealed on save, opened on access. Stands before a Django field."""

    attname: str
    name: str
    model: type[models.Model]
    python_type: type[str] | type[bytes]
    descriptor_class = _SealedAttribute

    def get_internal_type(self) -> str:
        return "TextField"

    def open(self, sealed: Sealed, instance: models.Model) -> str | bytes:
        data = keystore.ring().open(sealed.text, self.place(instance))
        return data.decode() if self.python_type is str else data

    def seal(self, clear: str | bytes, instance: models.Model) -> Sealed:
        data = clear.encode() if isinstance(clear, str) else clear
        return Sealed(keystore.ring().seal(data, self.place(instance)))

    def place(self, instance: models.Model) -> str:
        """What a value is sealed for: `app.model.field:primary-key`."""
        if instance.pk is None:
            raise TypeError(f"{self} needs a primary key before it is saved, such as a UUID")
        return f"{self.model._meta.label_lower}.{self.name}:{instance.pk}"

    def pre_save(self, model_instance: models.Model, add: bool) -> Sealed | None:
        held: Sealed | _Clear | None = model_instance.__dict__.get(self.attname)
        if isinstance(held, _Clear):
            held = model_instance.__dict__[self.attname] = self.seal(held.value, model_instance)
        return held

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Sealed | None:
        return None if value is None else Sealed(value)

    def get_prep_value(self, value: object) -> str | None:
        if value is None:
            return None
        if isinstance(value, Sealed):
            return value.text
        # A clear value got here by update() or bulk_update(), neither of which knows the row.
        raise TypeError(f"{self} is written by save() alone")

    def get_db_prep_value(self, value: object, connection: object, prepared: bool = False) -> str | None:
        return value if prepared and isinstance(value, str) else self.get_prep_value(value)

    def get_lookup(self, lookup_name: str) -> Any:
        # Some look-ups prepare nothing (contains), and would compare clear text with sealed in silence.
        if lookup_name != "isnull":
            raise TypeError(f"{self} cannot be searched")
        return super().get_lookup(lookup_name)  # type: ignore[misc]

    def value_to_string(self, obj: models.Model) -> str:
        raise TypeError(f"{self} is not exported")


class SealedTextField(_SealedField, TextField):  # type: ignore[misc]
    """Text that only the key ring opens."""

    python_type = str


class SealedBytesField(_SealedField, BinaryField):  # type: ignore[misc]
    """Bytes that only the key ring opens."""

    python_type = bytes
