"""``key=value`` words made into checked values."""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from types import NoneType
from typing import Any, Literal, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pearl_bench import registry
from pearl_bench.config.types import BenchConfig, ConfigError, MetaTestConfig

T = TypeVar("T")


def parse(words: Sequence[str]) -> dict[str, Any]:
    """Split the words into keys, each of a known name; lists and none are made so."""
    hints = types_of(BenchConfig)
    del hints["settings"], hints["meta_test"]
    nested = {learner: registry.config_class(learner) for learner in registry.LEARNERS}
    for prefix, cls in {"meta_test": MetaTestConfig, **nested}.items():
        hints |= {f"{prefix}.{key}": hint for key, hint in types_of(cls).items()}
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.lstrip("-").partition("=")
        if not equals or word.startswith("-"):
            example = f"{key}={text or '...'}" if key in hints else "suite=locomotion"
            raise ConfigError(f"{word!r} is not a key=value word, such as {example}")
        if key not in hints:
            raise ConfigError(f"unknown word {key}={suggest(key, hints)}")
        prefix, _, name = key.rpartition(".")
        target = given.setdefault(prefix, {}) if prefix else given
        if name in target:
            raise ConfigError(f"{key}= is given twice")
        target[name] = _value(text, hints[key])
    return given


def _value(text: str, hint: Any) -> Any:
    options = typing.get_args(hint)
    if NoneType in options and text.lower() in ("none", "null"):
        return None
    if typing.get_origin(hint) in (list, tuple):
        items = text.removeprefix("[").removesuffix("]").split(",")
        return [item.strip() for item in items if item.strip()]
    if hint is int or int in options:
        try:
            number = float(text)  # 1e6 is how people write a million steps
        except ValueError:
            return text
        return int(number) if number.is_integer() else text
    return text


def build(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Make a dataclass of ``values`` with every type checked."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), dict(values))
        result = typing.cast(T, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        key = (error.full_key or "").partition("[")[0]
        hint = types_of(cls).get(key)
        if hint is None or key not in values:
            raise ConfigError(f"{prefix}{key}: {error.msg or error}") from error
        raise ConfigError(
            f"{prefix}{key}={show(values[key])} is not allowed; "
            f"it takes {type_name(hint)}{default_of(cls, key)}"
        ) from error
    except ValueError as error:  # the dataclass's own check; it begins with the key
        raise ConfigError(f"{prefix}{error}") from error
    for key, value in vars(result).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{prefix}{key}={value} is not allowed; it is not finite")
    return result


def check_names(key: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names that are unknown or given twice.

    Raises:
        ConfigError: says which, and what is known.
    """
    for name in names:
        if name not in known:
            raise ConfigError(f"{key}={name} is unknown{suggest(name, known)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{key}={show(names)} names something twice")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: what may have been meant by an unknown name."""
    known = sorted(known)
    close = [k for k in known if k.rpartition(".")[2] == name]
    close = close or difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if len(known) > 12:
        return "; --help lists them all"
    return f"; known are: {', '.join(known)}"


def types_of(cls: type) -> dict[str, Any]:
    """Return the type of each field of a dataclass."""
    return typing.get_type_hints(cls)


def default_of(cls: type, key: str) -> str:
    """Return a field's default in words; empty if it has none."""
    item = next(item for item in fields(cls) if item.name == key)
    return "" if item.default is MISSING else f" (default: {show(item.default)})"


def show(value: object) -> str:
    """Write a value as it is written on the command line."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return (
        str(value).lower() if value is None or isinstance(value, bool) else str(value)
    )


def type_name(hint: Any) -> str:
    """Return what a type takes, in words."""
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    options = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, options))
    if typing.get_origin(hint) in (list, tuple):
        return (
            "names, comma between" if options[0] is str else "integers, comma between"
        )
    if NoneType in options:
        return f"{type_name(options[0])} or none"
    return names.get(hint, getattr(hint, "__name__", str(hint)))
