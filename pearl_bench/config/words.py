"""``key=value`` words made into checked dataclasses, for every command alike.

The words of a command are the fields of a frozen dataclass. A field that is a dataclass
itself, or a mapping, is a prefix: ``meta_test.goals=``, ``label.<name>=``. Metadata of
a field say more: ``KNOWN`` how to list the names that it takes, ``OF_METHODS`` that the
settings of each registered method are words, under the method's name, ``NONE`` what
people call None there.
"""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pearl_bench import registry
from pearl_bench.config.types import KNOWN, NONE, OF_METHODS, ConfigError

LARGEST = 10**15
"""Integers beyond it are no plan: a core counts to it in a fortnight at best."""

OF_LEARNERS = ("learner", "learners", "reference")
OF_PACKAGES = (*OF_LEARNERS, "suite", "family")
"""Words whose names installed packages add to."""

T = TypeVar("T")


def read(cls: type[T], argv: Sequence[str], example: str) -> T:
    """Return a command's words as its dataclass.

    Args:
        cls: the dataclass.
        argv: the words.
        example: words that the command takes, for messages.

    Raises:
        ConfigError: a word is not understood or not allowed, or one is missing; the
            message says which, what is allowed and what may have been meant.
    """
    given = parse(cls, argv, example)
    items = _fields(cls)
    for key, item in items.items():
        if key not in given and _default(item) is MISSING:
            known = item.metadata.get(KNOWN)
            names = (
                f"{key} may be: {', '.join(known())}"
                if known
                else f"for example {example}"
            )
            raise ConfigError(f"{key}= is missing; {names}")
        if given.get(key) is not None and KNOWN in item.metadata:
            names = [given[key]] if isinstance(given[key], str) else given[key]
            check_names(key, names, item.metadata[KNOWN]())
    return build(cls, given)


def parse(cls: type, argv: Sequence[str], example: str) -> dict[str, Any]:
    """Split words into keys, each of a known name; lists and none are made so.

    Returns:
        What was given, nested as the dataclass is.
    """
    known, items = vocabulary(cls), _fields(cls)
    free = {key for key, hint in types_of(cls).items() if _takes_any_name(hint)}
    given: dict[str, Any] = {}
    for word in argv:
        key, equals, text = word.lstrip("-").partition("=")
        if not equals or word.startswith("-"):
            such = (
                f"{key}={text or _example(known[key][1])}" if key in known else example
            )
            raise ConfigError(f"{word!r} is not a key=value word, such as {such}")
        prefix, _, name = key.partition(".")
        if prefix in free and name:
            place, hint = (prefix, name), str
        elif key in known:
            place, hint = known[key]
            require_homes(key, _items(text) if _is_list(hint) else [text])
            if key in items and hint in (str, str | None):
                _require_text(key, text, items[key])
        else:
            raise ConfigError(f"unknown word {key}={suggest(key, known)}")
        target = given
        for step in place[:-1]:
            target = target.setdefault(step, {})
        if place[-1] in target:
            raise ConfigError(f"{key}= is given twice")
        # OmegaConf would put something in its place, or take it for a missing value
        if "${" in text or text == "???":
            raise ConfigError(
                f"{key}={text} is not allowed; ??? is no name, and ${{...}} is filled "
                "in by the shell alone, which does not between single quotes"
            )
        may_be_none = key in items and NoneType in typing.get_args(hint)
        of_none = may_be_none and text.lower() == none_of(cls, key)
        target[place[-1]] = None if of_none else _value(text, hint)
    return given


def _example(hint: Any) -> str:
    return "true" if hint is bool else "..."


def vocabulary(cls: type) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Return every word of a command: its place in the dataclass and its type."""
    words: dict[str, tuple[tuple[str, ...], Any]] = {}
    items = _fields(cls)
    for key, hint in types_of(cls).items():
        if is_dataclass(hint):
            nested = types_of(typing.cast(type, hint))
            words |= {f"{key}.{name}": ((key, name), h) for name, h in nested.items()}
        elif OF_METHODS in items[key].metadata:
            for learner in registry.learner_names():
                for name, setting in types_of(registry.config_class(learner)).items():
                    words[f"{learner}.{name}"] = ((key, learner, name), setting)
        elif not _takes_any_name(hint):
            words[key] = ((key,), hint)
    return words


def require_homes(key: str, paths: Sequence[str]) -> None:
    """Refuse the home folder of a user that there is not.

    Raises:
        ConfigError: names the word.
    """
    for path in paths:
        try:
            Path(path).expanduser()
        except RuntimeError:
            raise ConfigError(
                f"{key}={show(paths)}: there is no such home folder; write ./~ for a "
                "name that begins with ~"
            ) from None


def path_of(key: str, path: Path | str) -> Path:
    """Return a path that begins with no ``~``.

    Raises:
        ConfigError: there is no such home folder; names the word.
    """
    require_homes(key, [str(path)])
    return Path(path).expanduser()


def _require_text(key: str, text: str, item: Field[Any]) -> None:
    """Refuse what is no name of a folder or file, and would become one.

    Raises:
        ConfigError: names the word.
    """
    if KNOWN in item.metadata:  # which says what there is
        return
    # an unset variable of the shell would become the folder that it is in
    if not text.strip() and _default(item) != "":
        raise ConfigError(f"{key}= is empty; name something, or leave it out")
    if text.lower() in ("none", "null") and _default(item) is not None:
        raise ConfigError(
            f"{key}={text} is not allowed; a name has to be given (./{text} is a "
            "folder of that name), or leave it out"
        )


def _takes_any_name(hint: Any) -> bool:
    return typing.get_origin(hint) is dict and typing.get_args(hint)[1] is str


def _is_list(hint: Any) -> bool:
    return typing.get_origin(hint) in (list, tuple)


def _items(text: str) -> list[str]:
    items = text.removeprefix("[").removesuffix("]").split(",")
    return [item.strip() for item in items if item.strip()]


def _value(text: str, hint: Any) -> Any:
    options = typing.get_args(hint)
    if NoneType in options and text.lower() in ("none", "null"):
        return None
    if _is_list(hint):
        return [_value(item, options[0]) for item in _items(text)]
    if hint is int or int in options:
        try:
            return int(text)
        except ValueError:
            pass
        try:
            number = float(text)  # 1e6 is how people write a million steps
        except ValueError:
            return text
        return int(number) if number.is_integer() else text
    return text


def build(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Make a dataclass of ``values`` with every type checked.

    Raises:
        ConfigError: names the key, begun with ``prefix``.
    """
    values, known = dict(values), types_of(cls)
    for key in values.keys() - known.keys():
        raise ConfigError(
            f"{prefix}{key} is no setting of this version{suggest(str(key), known)}"
        )
    for key, hint in known.items():
        if is_dataclass(hint) and isinstance(values.get(key), Mapping):
            nested = build(typing.cast(type, hint), values[key], f"{prefix}{key}.")
            values[key] = asdict(nested)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), values)
        result = typing.cast(T, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        key = (error.full_key or "").partition("[")[0]
        hint = types_of(cls).get(key)
        if hint is None or key not in values:
            raise ConfigError(f"{prefix}{key}: {error.msg or error}") from error
        raise ConfigError(
            f"{prefix}{key}={show(values[key])} is not allowed; "
            f"it takes {type_name(hint, none_of(cls, key))}{default_of(cls, key)}"
        ) from error
    except ValueError as error:  # the dataclass's own check; it begins with the key
        raise ConfigError(f"{prefix}{error}") from error
    for key, value in vars(result).items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise ConfigError(
                    f"{prefix}{key}={number} is not allowed; it is not finite"
                )
            if isinstance(number, int) and abs(number) > LARGEST:
                raise ConfigError(
                    f"{prefix}{key}= is too large to plan; take at most {LARGEST:.0e}"
                )
    return result


def check_names(
    key: str, names: Sequence[str], known: Sequence[str], listed: str = "--help"
) -> None:
    """Refuse names that are unknown or given twice.

    Args:
        key: the word that has them.
        names: what it has.
        known: those that there are.
        listed: where these stand, if they are many.

    Raises:
        ConfigError: says which, and what is known.
    """
    for name in names:
        if name not in known:
            raise ConfigError(unknown(key, name, known, listed))
    if len(set(names)) < len(names):
        raise ConfigError(f"{key}={show(names)} names something twice")


def unknown(key: str, name: str, known: Iterable[str], listed: str = "--help") -> str:
    """Return the sentence that refuses an unknown name.

    Args:
        key: the word that has it.
        name: the unknown one.
        known: those that there are.
        listed: where these stand, if they are many.

    Raises:
        ExtensionError: it is of an installed package that cannot be used.
    """
    if key in OF_LEARNERS:
        registry.require_sound(registry.LEARNER_GROUP, name)
    elif key == "suite":
        registry.require_sound(registry.SUITE_GROUP, name)
    known = sorted(known)
    if key == "suite" and (homes := [*registry.suites_of(name)]):
        return (
            f"suite={name} is unknown: {name} is a family of {' and '.join(homes)}; "
            f"take suite={homes[0]}"
        )
    foreign = key in OF_PACKAGES and not _close(name, known)
    hint = " (is the package installed that adds it?)" if foreign else ""
    return f"{key}={name} is unknown{hint}{suggest(name, known, listed)}"


def suggest(name: str, known: Iterable[str], listed: str = "--help") -> str:
    """Return the end of a sentence: what may have been meant by an unknown name.

    Args:
        name: the unknown one.
        known: those that there are.
        listed: where these stand, if they are many.
    """
    known = sorted(known)
    if close := _close(name, known):
        return f"; did you mean {' or '.join(close)}?"
    if len(known) > 12:
        return f"; {listed} lists them all"
    return f"; known are: {', '.join(known)}"


def _close(name: str, known: Sequence[str]) -> list[str]:
    """Return the known names that may have been meant by an unknown one."""
    plain = {k.lower(): k for k in known}
    return [plain[k] for k in _nearest(name.lower(), [*plain])]


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    close = [k for k in known if k.rpartition(".")[2] == name]
    group, _, last = name.rpartition(".")
    ends = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == group}
    if group and ends and not close:  # their common beginning makes none of them close
        short = [end for end in ends if "".join(w[:1] for w in end.split("_")) == last]
        found = short or difflib.get_close_matches(last, ends, n=1)
        return [ends[end] for end in found]
    return close or difflib.get_close_matches(name, known, n=1)


@cache
def types_of(cls: type) -> dict[str, Any]:
    """Return the type of each field of a dataclass; not to be written to."""
    return typing.get_type_hints(cls)


def default_of(cls: type, key: str) -> str:
    """Return a field's default in words; empty if it has none."""
    default = _default(_fields(cls)[key])
    if default in (MISSING, [], {}, ""):
        return ""
    return f" (default: {none_of(cls, key) if default is None else show(default)})"


def none_of(cls: type, key: str) -> str:
    """Return what people call None where it is a field's value."""
    return _fields(cls)[key].metadata.get(NONE, "none")


def _fields(cls: Any) -> dict[str, Field[Any]]:
    return {item.name: item for item in fields(cls)}


def _default(item: Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def show(value: object) -> str:
    """Write a value as it is written on the command line."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return (
        str(value).lower() if value is None or isinstance(value, bool) else str(value)
    )


def type_name(hint: Any, none: str = "none") -> str:
    """Return what a type takes, in words, and ``none`` for None."""
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    options = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, options))
    if _is_list(hint):
        if choices := typing.get_args(options[0]):
            return f"some of {', '.join(map(str, choices))}, comma between"
        return (
            "names, comma between" if options[0] is str else "integers, comma between"
        )
    if _takes_any_name(hint):
        return "text for each"
    if NoneType in options:
        return f"{type_name(options[0])} or {none}"
    return names.get(hint, getattr(hint, "__name__", str(hint)))
