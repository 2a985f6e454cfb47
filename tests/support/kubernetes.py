"""A real Kubernetes API server that has the definitions of Flink's operator, and nothing that acts on its objects."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.services import SERVICES, need_fetched, need_programs, skip

SCRIPT = SERVICES / "kubernetes.sh"
_GROUP = ("flink.apache.org", "v1beta1")


@dataclass(frozen=True)
class ApiServer:
    """An API server that runs.

    Attributes:
        kubeconfig: Its contexts are `admin`, who may do everything, and `nobody`.
    """

    kubeconfig: str

    def api(self, context: str) -> Any:
        """Return a client."""
        from kubernetes import client, config

        return client.ApiClient(config.new_client_from_config(self.kubeconfig, context).configuration)

    def _api(self) -> Any:
        return self.api("admin")

    def create_namespace(self, name: str) -> None:
        """Make a namespace."""
        from kubernetes import client

        client.CoreV1Api(self._api()).create_namespace({"metadata": {"name": name}})

    def create(self, plural: str, namespace: str, item: dict[str, Any]) -> None:
        """Make an object of the operator, and give it the status that it has."""
        from kubernetes import client

        objects = client.CustomObjectsApi(self._api())
        kind = {"flinkdeployments": "FlinkDeployment", "flinksessionjobs": "FlinkSessionJob"}[plural]
        body = {"apiVersion": "/".join(_GROUP), "kind": kind, **item}
        made = objects.create_namespaced_custom_object(*_GROUP, namespace, plural, body)
        if status := item.get("status"):
            name = made["metadata"]["name"]
            objects.patch_namespaced_custom_object_status(*_GROUP, namespace, plural, name, {"status": status})

    def allow_to_list(self, namespace: str) -> None:
        """Let `nobody` list the operator's objects of a namespace, as documented."""
        from kubernetes import client

        rules = [{"apiGroups": [_GROUP[0]], "resources": ["flinkdeployments", "flinksessionjobs"], "verbs": ["list"]}]
        roles = client.RbacAuthorizationV1Api(self._api())
        roles.create_namespaced_role(namespace, {"metadata": {"name": "flink"}, "rules": rules})
        subject = {"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"}
        reference = {"kind": "Role", "name": "flink", "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": "flink"}, "subjects": [subject], "roleRef": reference}
        roles.create_namespaced_role_binding(namespace, binding)

    def allow(self, resources: list[str], verbs: list[str], *, namespace: str, names: list[str]) -> None:
        """Let `nobody` do something to objects of these names."""
        from kubernetes import client

        rules = [{"apiGroups": [""], "resources": resources, "verbs": verbs, "resourceNames": names}]
        roles = client.RbacAuthorizationV1Api(self._api())
        roles.create_namespaced_role(namespace, {"metadata": {"name": "named"}, "rules": rules})
        subject = {"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"}
        reference = {"kind": "Role", "name": "named", "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": "named"}, "subjects": [subject], "roleRef": reference}
        roles.create_namespaced_role_binding(namespace, binding)


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """Run an API server."""
    what = "Kubernetes' API server"
    need_programs(what, "go", "mvn", "openssl", "curl", "unzip")
    need_fetched(what, "kubernetes.sh", size="3 GB of Go modules")
    with tempfile.TemporaryDirectory(prefix="autostream-kubernetes-", ignore_cleanup_errors=True) as directory:
        environment = {**os.environ, "SERVICES_OWNER": str(os.getpid())}
        started = subprocess.run([SCRIPT, "start", directory], capture_output=True, text=True, env=environment)
        if started.returncode:
            skip(what, started.stderr)
        try:
            yield ApiServer(started.stdout.strip().removeprefix("KUBECONFIG="))
        finally:
            subprocess.run([SCRIPT, "stop", directory], check=True)
