"""Secrets among the settings: hidden in all that is printed from when they are read, and shown as `********`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SecretStr

from autostream.masking import MASK, learn, mask_setting, secrets_in


def learn_secrets(model: BaseModel) -> None:
    """Have the secrets among the values of a model hidden wherever they stand from now on."""
    for key in type(model).model_fields:
        value = getattr(model, key)
        if isinstance(value, SecretStr):
            learn(value.get_secret_value())
        elif isinstance(value, str | tuple):
            for text in (value,) if isinstance(value, str) else value:
                learn(*secrets_in(str(text)))


def masked(key: str, value: object) -> Any:
    """Return a value as plain JSON that may be shown."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {name: masked(name, getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, tuple):
        return [masked(key, item) for item in value]
    return mask_setting(key, value)
