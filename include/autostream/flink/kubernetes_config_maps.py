"""Texts in ConfigMaps of Kubernetes: read with their version, and changed only where they still have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from autostream.config.sections.flink import FlinkKubernetesSettings
from autostream.errors import ConflictError, DeniedError, NotFoundError, ServiceError
from autostream.flink.kubernetes_discovery import connect_kubernetes
from autostream.masking import mask

_SECONDS: Final = (3.0, 10.0)


@dataclass(frozen=True)
class ConfigMapTexts:
    """A ConfigMap as it was when it was read.

    Attributes:
        texts: Its texts, by key.
        version: Its resource version.
    """

    texts: dict[str, str]
    version: str


def read_config_map(settings: FlinkKubernetesSettings, namespace: str, name: str) -> ConfigMapTexts:
    """Return a ConfigMap.

    Raises:
        NotFoundError: There is none of this name.
        DeniedError: The account may not read it.
        ServiceError: The API server cannot be reached, or refuses.
        ConfigurationError: There is no such kubeconfig or context, or the client is not installed.
    """
    with _answers(settings, namespace, name, "get") as maps:
        found = maps.read_namespaced_config_map(name, namespace, _request_timeout=_SECONDS)
    return ConfigMapTexts(dict(found.data or {}), found.metadata.resource_version)


def change_config_map(
    settings: FlinkKubernetesSettings, namespace: str, name: str, *, key: str, text: str, version: str
) -> None:
    """Change one text of a ConfigMap, if it still has the version that it was read in.

    Raises:
        ConflictError: Others have changed it since; nothing was changed.
        NotFoundError: There is none of this name any more.
        DeniedError: The account may not change it.
        ServiceError: The API server cannot be reached, or refuses.
        ConfigurationError: There is no such kubeconfig or context, or the client is not installed.
    """
    patch = {"metadata": {"resourceVersion": version}, "data": {key: text}}
    with _answers(settings, namespace, name, "patch") as maps:
        maps.patch_namespaced_config_map(name, namespace, patch, _request_timeout=_SECONDS)


@contextmanager
def _answers(settings: FlinkKubernetesSettings, namespace: str, name: str, verb: str) -> Iterator[Any]:
    where = f"ConfigMap {name} in namespace {namespace}"
    with connect_kubernetes(settings) as api:
        from kubernetes import client
        from kubernetes.client.exceptions import ApiException

        try:
            yield client.CoreV1Api(api)
        except ApiException as error:
            said = f"{error.status} {error.reason or ''}".strip()
            if error.status == 409:
                raise ConflictError(f"Others have changed {where} at the same time ({said}). Try again.") from error
            if error.status == 404:
                raise NotFoundError(
                    f"Kubernetes ({settings.name}) has no {where}. Flink's operator and native Kubernetes deployments "
                    "make one that is called flink-config-CLUSTER-ID; others need `log4j_config_map` of the cluster."
                ) from error
            if error.status in (401, 403):
                raise DeniedError(
                    f"Kubernetes ({settings.name}) does not let this account {verb} {where} ({said}). Give it a Role "
                    "in "
                    f'namespace {namespace} with verbs ["get", "patch"] on resource "configmaps", resourceNames '
                    f'["{name}"].'
                ) from error
            raise ServiceError(
                f"Kubernetes ({settings.name}) answers {verb} of {where} with {said}. Try again."
            ) from error
        except OSError as error:
            raise _unreachable(settings, where, error) from error
        except Exception as error:  # its client lets through whatever its own HTTP library raises
            if type(error).__module__.partition(".")[0] != "urllib3":
                raise
            raise _unreachable(settings, where, error) from error


def _unreachable(settings: FlinkKubernetesSettings, where: str, error: Exception) -> ServiceError:
    return ServiceError(
        f"Kubernetes ({settings.name}) does not answer a request for {where}: {mask(str(error))[:300]}. Check "
        "`kubeconfig` and `context`, and that the API server can be reached from here."
    )
