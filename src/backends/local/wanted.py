"""From a spec to what this machine would run: version, settings, and what cannot be honoured."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ...crds import ServerSpec
from ..local_options import LocalOptions, SizeClass
from ..values import (
    Problem,
)
from .installations import Installation, Installations
from .parameters import refusal

HONOURED = frozenset(
    {
        "version",
        "size.class",
        "size.cpu",
        "size.memoryMB",
        "size.storageGB",
        "extensions",
        "serverParameters",
    }
)
PRELOADED = frozenset({"auto_explain", "pg_cron", "pg_stat_statements", "pgaudit", "timescaledb"})
"""Extensions that work only where their library is loaded at the start of the server."""

Refusals = Mapping[tuple[str, str], str]
"""Why a server did not take a setting, by its name and value."""
NOTHING: Refusals = MappingProxyType({})
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a spec comes to with one installation."""

    settings: Mapping[str, str]
    problems: tuple[Problem, ...]


class Wishes:
    """Reads specs; pure but for the scan of installed programs that its first use may cause."""

    def __init__(self, options: LocalOptions, installations: Installations) -> None:
        self._options = options
        self._installations = installations

    def version(self, asked: str) -> tuple[Installation, tuple[Problem, ...]]:
        """Return the installation for a new server and what of ``spec.version`` it is not.

        Empty and an unavailable major mean the default one, ``latest`` the newest; a minor is a
        floor, and the newest of its major is all there is.
        """
        if asked == "latest":
            return self._installations.newest(), ()
        if not asked:
            return self._default(), ()
        match = _VERSION.fullmatch(asked)
        found = self._installations.offered().get(int(match[1])) if match else None
        if match is None or found is None:
            fallback = self._default()
            offered = ", ".join(str(major) for major in sorted(self._installations.offered()))
            message = f"version {asked} is not installed here; there are {offered}"
            return fallback, (Problem("version", message, fallback.version),)
        if int(match[2] or 0) > found.minor:
            message = f"version {asked} is not installed here; the newest {found.major} is used"
            return found, (Problem("version", message, found.version),)
        return found, ()

    def judge(self, spec: ServerSpec) -> tuple[Problem, ...]:
        """Return what of a spec cannot be honoured, whatever major the server has by now.

        A server whose spec names no version may run any; what only its own major refuses, or the
        server itself did, is for the plan to say (:meth:`rest`).
        """
        if spec.version in ("", "latest"):
            installation = self._installations.newest()
            problems: tuple[Problem, ...] = ()
            majors = list(self._installations.offered().values())
        else:
            installation, problems = self.version(spec.version)
            majors = [installation]
        refused = [{each.field for each in self.of(spec, major).problems} for major in majors]
        common = set.intersection(*refused)
        own = self.of(spec, installation).problems
        return problems + tuple(each for each in own if each.field in common)

    def rest(
        self, spec: ServerSpec, installation: Installation, refused: Refusals
    ) -> tuple[Problem, ...]:
        """Return what this installation and server refuse beyond what :meth:`judge` says."""
        said = {each.field for each in self.judge(spec)}
        problems = self.of(spec, installation, refused).problems
        return tuple(each for each in problems if each.field not in said)

    def of(
        self, spec: ServerSpec, installation: Installation, refused: Refusals = NOTHING
    ) -> Wanted:
        """Return the settings that a spec asks for, without those that cannot be honoured.

        ``refused`` are those that the server itself did not take.
        """
        settings, problems = self._derived(spec, installation)
        for pair in sorted(refused.keys() & settings.items()):
            del settings[pair[0]]
            problems.append(Problem("size", f"{pair[0]} = {pair[1]}: {refused[pair]}"))
        for name, value in sorted(spec.server_parameters.items()):
            reason = refusal(name, value, installation.parameters) or refused.get((name, value))
            if reason:
                problems.append(Problem(f"serverParameters.{name}", reason))
            else:
                settings[name] = value
        return Wanted(settings, tuple(problems))

    def asked(self, spec: ServerSpec, installation: Installation) -> frozenset[tuple[str, str]]:
        """Return every name and value that a spec may come to, whatever is refused of it."""
        settings, _ = self._derived(spec, installation)
        return frozenset((*settings.items(), *spec.server_parameters.items()))

    def _derived(
        self, spec: ServerSpec, installation: Installation
    ) -> tuple[dict[str, str], list[Problem]]:
        """Return the settings that size and extensions come to."""
        size, size_problems = self._size(spec)
        preload, extension_problems = _preload(spec, installation)
        return {**size, **preload}, [*size_problems, *extension_problems]

    def _default(self) -> Installation:
        major = self._options.default_version
        return self._installations.newest() if major is None else self._installations.get(major)

    def _size(self, spec: ServerSpec) -> tuple[dict[str, str], tuple[Problem, ...]]:
        """Turn class, else cpu and memory, into settings."""
        asked = spec.size.class_
        classes, default = self._options.classes, self._options.default_class
        if asked and asked in classes:
            return _tuning(classes[asked], ())
        if asked:
            known = f"there are {', '.join(sorted(classes))}" if classes else "there are none here"
            message = f"no class {asked!r} is configured; {known}"
            problem = Problem("size.class", message, default or "postgresql's own defaults")
            return _tuning(classes[default] if default else SizeClass(), (problem,))
        if spec.size.cpu is None and spec.size.memory_mb is None and default:
            return _tuning(classes[default], ())
        own = SizeClass.model_construct(cpu=spec.size.cpu, memory_mb=spec.size.memory_mb)
        return _tuning(own, ())


def _tuning(
    size: SizeClass, problems: tuple[Problem, ...]
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return the settings for a size: the usual quarter for buffers, three quarters as cache."""
    settings: dict[str, str] = {}
    if size.cpu is not None:
        settings["max_parallel_workers"] = str(size.cpu)
    memory = size.memory_mb
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    if memory is not None and memory > machine:
        message = f"{memory} MB are more than this machine has"
        problems = (*problems, Problem("size.memoryMB", message, str(machine)))
        memory = machine
    if memory is not None:
        settings["shared_buffers"] = f"{max(memory // 4, 1)}MB"
        settings["effective_cache_size"] = f"{max(memory * 3 // 4, 1)}MB"
    return settings, problems


def _preload(
    spec: ServerSpec, installation: Installation
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return what to preload for the listed extensions, in a stable order."""
    asked = sorted(PRELOADED & set(spec.extensions))
    found = [name for name in asked if installation.has_library(name)]
    problems = tuple(
        Problem("extensions", f"{name} does not come with postgresql {installation.major} here")
        for name in asked
        if name not in found
    )
    return ({"shared_preload_libraries": ",".join(found)} if found else {}), problems
