"""Where a cluster's log configuration is: a file that its processes watch, or a ConfigMap of Kubernetes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from autostream.config.sections.flink import FlinkKubernetesSettings, FlinkSettings
from autostream.errors import AutostreamError, ConfigurationError, ConflictError, NotFoundError, ServiceError
from autostream.flink.kubernetes_config_maps import change_config_map, read_config_map
from autostream.sizes import KIB, format_size
from autostream.spelling import one_of

KEYS: Final = ("log4j-console.properties", "log4j.properties")
"""Where in a ConfigMap the configuration may be, the likeliest first."""
LARGEST_BYTES: Final = 512 * KIB


class LevelTarget(Protocol):
    """A log configuration that can be read, and changed where it is still what was read."""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        ...

    @property
    def slow_seconds(self) -> int:
        """How long a change takes to get to the processes, besides their own interval."""
        ...

    def read(self) -> tuple[str, str]:
        """Return the configuration and its version."""
        ...

    def write(self, text: str, *, version: str) -> None:
        """Replace the configuration, in one step, if it still has this version."""
        ...


@dataclass(frozen=True)
class FileTarget:
    """A file that the processes of a standalone cluster watch.

    Attributes:
        path: The file.
    """

    path: Path

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"file {self.path}"

    @property
    def slow_seconds(self) -> int:
        """How long a change takes to get to the processes, besides their own interval."""
        return 0

    def read(self) -> tuple[str, str]:
        """Return the configuration and its version.

        Raises:
            NotFoundError: There is no such file.
            ServiceError: It cannot be read, or is too large.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {self.path}. Correct `log4j_file` of the cluster.") from None
        except OSError as error:
            raise ServiceError(
                f"Cannot read {self.path}: {error.strerror or error}. Check its permissions and `log4j_file`."
            ) from error
        return _text(content, self.place), hashlib.sha256(content).hexdigest()

    def write(self, text: str, *, version: str) -> None:
        """Replace the configuration, in one step, if it still has this version.

        Processes see the old file or the new one, never a half: it is written beside it, and takes its place.

        Raises:
            ConflictError: Others have changed it since.
            ServiceError: It cannot be written.
        """
        path = self.path.resolve()  # a link stays one
        try:
            kept = path.stat()
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".autostream", dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(text.encode())
                    os.fchmod(descriptor, kept.st_mode & 0o7777)
                    if (kept.st_uid, kept.st_gid) != (os.geteuid(), os.getegid()):
                        with suppress(PermissionError):
                            os.fchown(descriptor, kept.st_uid, kept.st_gid)
                    file.flush()
                    os.fsync(descriptor)
                if self.read()[1] != version:
                    raise ConflictError(f"Others have changed {self.path} at the same time. Try again.")
                os.replace(name, path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name)
        except OSError as error:
            raise ServiceError(
                f"Cannot write {self.path}: {error.strerror or error}. This account must be able to write the file and "
                "its directory; a file that is mounted alone cannot be replaced, mount its directory."
            ) from error


@dataclass(frozen=True)
class ConfigMapTarget:
    """A ConfigMap that Kubernetes mounts into the pods of a cluster.

    Attributes:
        kubernetes: How the API server is reached.
        namespace: Namespace of the ConfigMap.
        name: Its name.
    """

    kubernetes: FlinkKubernetesSettings
    namespace: str
    name: str

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"ConfigMap {self.namespace}/{self.name}"

    @property
    def slow_seconds(self) -> int:
        """How long a change takes to get to the processes, besides their own interval: kubelets look once a minute."""
        return 90

    def read(self) -> tuple[str, str]:
        """Return the configuration and its version; raises as `read_config_map` does."""
        found = read_config_map(self.kubernetes, self.namespace, self.name)
        return _text(found.texts[self._key(found.texts)].encode(), self.place), found.version

    def write(self, text: str, *, version: str) -> None:
        """Replace the configuration, in one step, if it still has this version; raises as `change_config_map` does."""
        found = read_config_map(self.kubernetes, self.namespace, self.name)
        change_config_map(
            self.kubernetes, self.namespace, self.name, key=self._key(found.texts), text=text, version=version
        )

    def _key(self, texts: dict[str, str]) -> str:
        for key in KEYS:
            if key in texts:
                return key
        raise NotFoundError(
            f"{self.place} has none of {' and '.join(KEYS)}, so log levels cannot be changed in it. It has: "
            f"{', '.join(sorted(texts)) or 'nothing'}."
        )


def level_target_of(settings: FlinkSettings, cluster: str) -> LevelTarget:
    """Return where a cluster's log configuration is; nothing is read yet.

    Args:
        settings: The section `flink`.
        cluster: Name of the cluster; one of a Kubernetes is called `KUBERNETES.NAMESPACE.DEPLOYMENT`.

    Raises:
        NotFoundError: There is no such cluster.
        ConfigurationError: It is not known where its configuration is.
    """
    for one in settings.clusters:
        if one.name != cluster:
            continue
        if one.log4j_file:
            return FileTarget(Path(one.log4j_file))
        if one.log4j_config_map:
            namespace, _, name = one.log4j_config_map.partition("/")
            return ConfigMapTarget(FlinkKubernetesSettings(name=cluster), namespace, name)
        raise ConfigurationError(
            f"Log levels of cluster {cluster} cannot be changed at run time: it is not known where its log "
            "configuration is. Standalone: set `log4j_file` of `[[flink.clusters]]` to the log4j.properties that its "
            "processes watch. Kubernetes: set `log4j_config_map`. On YARN each container has a copy of its own: change "
            "the file and restart the job."
        )
    entry, *rest = cluster.rsplit(".", 2)
    for kubernetes in settings.kubernetes:
        if kubernetes.name == entry and len(rest) == 2:
            return ConfigMapTarget(kubernetes, rest[0], f"flink-config-{rest[1]}")
    known = [*(one.name for one in settings.clusters), *(f"{one.name}.NAMESPACE.NAME" for one in settings.kubernetes)]
    raise NotFoundError(f"Unknown Flink cluster {cluster!r}. {one_of(cluster, known, 'Known are')}")


def _text(content: bytes, place: str) -> str:
    if len(content) > LARGEST_BYTES:
        raise AutostreamError(f"The {place} is {format_size(len(content))}, too large for a log configuration.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise AutostreamError(f"The {place} is not UTF-8 text, so it cannot be changed and undone exactly.") from None
