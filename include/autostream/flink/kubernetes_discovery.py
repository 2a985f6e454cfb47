"""The Flink clusters that the operator has deployed in Kubernetes, found by asking an API server.

This module and `kubernetes_config_maps` are the ones that know Kubernetes' client, which is loaded when it is used:
`pip install 'autostream[kubernetes]'`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from autostream.config.sections.flink import FlinkClusterSettings, FlinkKubernetesSettings
from autostream.errors import AutostreamError, ConfigurationError, DeniedError, ServiceError
from autostream.findings import Finding, Severity
from autostream.flink.kubernetes_objects import Deployment, deployments_of
from autostream.masking import mask

_GROUP: Final = ("flink.apache.org", "v1beta1")
_PAGE: Final = 500
_SECONDS: Final = (3.0, 10.0)


def discover(settings: FlinkKubernetesSettings) -> list[Deployment]:
    """Ask an API server for the FlinkDeployments and FlinkSessionJobs that there are.

    Raises:
        ConfigurationError: The client is not installed, or there is no such kubeconfig or context.
        DeniedError: The account may not list them.
        ServiceError: The API server cannot be reached, or does not know Flink's operator.
    """
    with connect_kubernetes(settings) as api:
        from kubernetes import client

        objects = client.CustomObjectsApi(api)
        deployments = list(_listed(objects, settings, "flinkdeployments", labels=settings.label_selector))
        session_jobs = list(_listed(objects, settings, "flinksessionjobs"))
    return deployments_of(
        deployments,
        session_jobs,
        team_labels=settings.team_labels,
        owner_labels=settings.owner_labels,
        complete=not settings.label_selector,
    )


def check_kubernetes(settings: FlinkKubernetesSettings) -> Finding:
    """Prove that the deployments of a Kubernetes can be listed, and say how many there are."""
    subject = f"flink kubernetes {settings.name}"
    try:
        found = discover(settings)
    except AutostreamError as error:
        return Finding(subject, Severity.ERROR, str(error))
    ready = sum(deployment.ready for deployment in found)
    deployments = "1 deployment" if len(found) == 1 else f"{len(found)} deployments"
    return Finding(subject, Severity.OK, f"reachable, {deployments} of Flink's operator, {ready} of them ready")


def cluster_settings(settings: FlinkKubernetesSettings, deployment: Deployment) -> FlinkClusterSettings:
    """Return how the job managers of a deployment are asked. It is called `NAME.NAMESPACE.DEPLOYMENT`.

    Raises:
        ConfigurationError: `url` makes no address of it.
    """
    words = {
        "scheme": "https" if deployment.secure else "http",
        "service": deployment.service,
        "namespace": deployment.namespace,
        "name": deployment.name,
        "port": str(deployment.rest_port),
    }
    name = cluster_name(settings, deployment)
    login = settings.model_dump(include=set(FlinkClusterSettings.model_fields) - {"name", "url"})
    try:
        return FlinkClusterSettings(name=name, url=tuple(url.format_map(words) for url in settings.url), **login)
    except ValueError as error:
        raise ConfigurationError(f"Cannot make a cluster of {name} in Kubernetes: {error}.") from None


def cluster_name(settings: FlinkKubernetesSettings, deployment: Deployment) -> str:
    """Return what the cluster of a deployment is called everywhere."""
    return f"{settings.name}.{deployment.namespace}.{deployment.name}"


def connect_kubernetes(settings: FlinkKubernetesSettings) -> Any:
    """Return a client of the API server: that of the pod that this runs in, else that of a kubeconfig.

    Raises:
        ConfigurationError: The client is not installed, or there is no such kubeconfig or context.
    """
    try:
        from kubernetes import client, config
    except ImportError:
        raise ConfigurationError(
            f"`flink.kubernetes` {settings.name} needs Kubernetes' client, which is not installed. Run: pip install "
            "'autostream[kubernetes]'"
        ) from None

    named = bool(settings.kubeconfig or settings.context)
    try:
        if not named and "KUBERNETES_SERVICE_HOST" in os.environ:
            configuration = client.Configuration()
            config.load_incluster_config(client_configuration=configuration)
            connected = client.ApiClient(configuration)
        else:
            connected = config.new_client_from_config(settings.kubeconfig or None, settings.context or None)
    except Exception as error:  # whatever is wrong with a file, or with a program that it names
        which = settings.kubeconfig or "the usual place"
        raise ConfigurationError(
            f"`flink.kubernetes` {settings.name} cannot read a kubeconfig at {which}"
            f"{f' with context {settings.context}' if settings.context else ''}: {mask(str(error))}. Correct "
            "`kubeconfig` and `context`."
        ) from error
    connected.configuration.retries = 1
    return connected


def _listed(
    objects: Any, settings: FlinkKubernetesSettings, plural: str, *, labels: str = ""
) -> Iterator[Mapping[str, Any]]:
    for namespace in settings.namespaces or ("",):
        options: dict[str, Any] = {"limit": _PAGE, "_request_timeout": _SECONDS}
        if labels:
            options["label_selector"] = labels
        while True:
            page = _page(objects, settings, plural, namespace, options)
            yield from page.get("items") or ()
            after = (page.get("metadata") or {}).get("continue")
            if not after:
                break
            options["_continue"] = after


def _page(
    objects: Any, settings: FlinkKubernetesSettings, plural: str, namespace: str, options: Mapping[str, Any]
) -> Mapping[str, Any]:
    from kubernetes.client.exceptions import ApiException

    where = f"namespace {namespace}" if namespace else "all namespaces"
    try:
        page: Mapping[str, Any] = (
            objects.list_namespaced_custom_object(*_GROUP, namespace, plural, **options)
            if namespace
            else objects.list_cluster_custom_object(*_GROUP, plural, **options)
        )
    except ApiException as error:
        raise _refused(settings, plural, where, error) from error
    except Exception as error:  # its client lets through whatever its own HTTP library raises
        raise ServiceError(
            f"Kubernetes ({settings.name}) does not answer a request for {plural}: {mask(str(error))[:300]}. Check "
            "`kubeconfig` and `context`, and that the API server can be reached from here."
        ) from error
    return page


def _refused(settings: FlinkKubernetesSettings, plural: str, where: str, error: Any) -> AutostreamError:
    said, kubernetes = f"{error.status} {error.reason or ''}".strip(), f"Kubernetes ({settings.name})"
    if error.status in (401, 403):
        role = "Role" if settings.namespaces else "ClusterRole"
        return DeniedError(
            f"{kubernetes} does not let this account list {plural} in {where}: {said}. Correct its login, or give it a "
            f'{role} with verbs ["list"] on resources ["flinkdeployments", "flinksessionjobs"] of apiGroup {_GROUP[0]}.'
        )
    if error.status == 404:
        return ServiceError(
            f"{kubernetes} does not know {plural}.{_GROUP[0]}. Install Flink's operator there, or remove "
            f"`[[flink.kubernetes]]` {settings.name}."
        )
    return ServiceError(f"{kubernetes} answers a request for {plural} in {where} with {said}. Try again.")
