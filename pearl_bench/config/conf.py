"""``conf/`` read: what differs from methods' defaults, per family and per budget."""

from __future__ import annotations

import typing
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pearl_bench import registry
from pearl_bench.config.errors import in_words
from pearl_bench.config.types import Budget, ConfigError
from pearl_bench.config.words import suggest, types_of
from suites.base import Suite

BENEATH: dict[str, tuple[Budget, ...]] = {"quick": ("lean",)}
"""Budgets between paper, on which all stand, and another, which is their first part:
a run of it goes on under theirs."""
Conf = dict[str, dict[str, dict[str, Any]]]
"""Budget, then entry (a family, a suite or ``*``), then key."""


def settings_of(
    learner: str, suite: str, family: str, budget: Budget
) -> dict[str, Any]:
    """Merge the entries of ``conf/<learner>.yaml`` that concern a family.

    They are ``*``, then the suite's, then the family's, of the budget paper, then of
    lean where quick is asked for, which is its first part, and then of that asked for.
    """
    conf = conf_of(learner, registry.suite(suite))
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(["paper", *BENEATH.get(budget, ()), budget]):
        entries = conf.get(name, {})
        for entry in dict.fromkeys(["*", suite, family]):
            merged |= entries.get(entry, {})
    return merged


def conf_of(learner: str, suite: Suite, above: tuple[str, ...] = ()) -> Conf:
    """Return all that ``conf/`` says of a method: budget, entry, key.

    Where the file names another method as its ``base``, that one's entries stand
    beneath its own: the steps, and the settings that both have. Those of the suite's
    own file, if it has one, stand above.

    Args:
        learner: name of the method.
        suite: the suite.
        above: methods whose base it is.

    Raises:
        ConfigError: a file cannot be read or has an unknown key.
    """
    method = registry.method(learner)
    own = _yaml_file(method.conf)
    base = own.get("base")
    own = {name: entries for name, entries in own.items() if name != "base"}
    allowed = {"steps", "eval_every", *types_of(method.settings)}
    conf: Conf = {}
    if base is not None:
        above = (*above, learner)
        others = [name for name in registry.learner_names() if name not in above]
        if base not in others:
            raise ConfigError(
                f"{method.conf}: base: {base} is no method to start from"
                f"{suggest(str(base), others)}"
            )
        for name, entries in conf_of(base, suite, above).items():
            conf[name] = {
                entry: {k: v for k, v in values.items() if k in allowed}
                for entry, values in entries.items()
            }
    _put(conf, own, allowed, method.conf)
    if suite.conf is not None:
        of_learner = _mapping(_yaml_file(suite.conf).get(learner), f"{suite.conf}")
        _put(conf, of_learner, allowed, suite.conf)
    return conf


def _put(conf: Conf, above: dict[str, Any], allowed: set[str], path: Path) -> None:
    """Write the entries of a file over others.

    Raises:
        ConfigError: names the file and what is wrong in it.
    """
    budgets = typing.get_args(Budget)
    for name, entries in above.items():
        if name not in budgets:
            raise ConfigError(f"{path}: unknown budget {name}{suggest(name, budgets)}")
        for entry, values in _mapping(entries, f"{path}: {name}").items():
            of_entry = _mapping(values, f"{path}: {name}.{entry}")
            for key in of_entry:
                if key not in allowed:
                    raise ConfigError(
                        f"{path}: unknown key {name}.{entry}.{key}"
                        f"{suggest(key, allowed)}"
                    )
            beneath = conf.setdefault(name, {})
            beneath[entry] = beneath.get(entry, {}) | of_entry


def _mapping(data: object, where: str) -> dict[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must hold a mapping; mend it")
    return typing.cast(dict[str, Any], data)


def of_budget(budget: Budget) -> dict[str, Any]:
    """Return what a budget means for every method."""
    return _yaml_file(registry.CONF / "budgets.yaml")[budget]


def _yaml_file(path: Path) -> dict[str, Any]:
    """Return what a file of ``conf/`` holds; not to be written to."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(in_words(error)) from error
    return _parsed(path, stamp)


@cache
def _parsed(path: Path, stamp: int) -> dict[str, Any]:
    del stamp  # a file that was written anew is read anew
    return read_yaml(read_text(path), path)


def read_text(path: Path) -> str:
    """Return a text file's content.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ConfigError(
                f"{path} cannot be read: it is no file; put one in its place"
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; restore it") from None
    except OSError as error:
        raise ConfigError(in_words(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} cannot be read: it is not UTF-8 ({error.reason}); restore it"
        ) from error


def read_yaml(text: str, where: object) -> dict[str, Any]:
    """Return the mapping that a YAML text holds.

    Args:
        text: the text.
        where: where it stands, for the message.

    Raises:
        ConfigError: it is no YAML, or no mapping.
    """
    try:
        data = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    except Exception as error:  # the YAML parser's errors are not omegaconf's
        said = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{where} is not valid YAML ({said}); mend or restore it"
        ) from error
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must hold a mapping; mend or restore it")
    return typing.cast(dict[str, Any], data)
