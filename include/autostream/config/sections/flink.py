"""The section `flink`: the Flink clusters, each of which is named once; everything else refers to them by name."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from autostream.config.sections.base import (
    ListedSection,
    NamedSection,
    NameList,
    RegularExpression,
    Section,
    parse_list,
)
from autostream.config.sections.endpoint import Address, Endpoint, split_urls
from autostream.errors import ConfigurationError


class FlinkClusterSettings(Endpoint, NamedSection):
    """One Flink cluster: its name, the REST addresses of its job managers, and how to log in there."""

    log4j_file: str = Field(
        default="",
        description="The log4j.properties that the cluster's processes watch, as a file that this machine can write. "
        "With it `autostream flink log-level` changes log levels at run time.",
    )
    log4j_config_map: str = Field(
        default="",
        examples=["flink/flink-config-orders"],
        pattern=r"^$|^[a-z0-9.-]+/[a-z0-9.-]+$",
        description="The ConfigMap that holds it instead, as NAMESPACE/NAME. The clusters of `flink.kubernetes` need "
        "none: theirs is flink-config-DEPLOYMENT.",
    )


class FlinkKubernetesSettings(Endpoint, NamedSection):
    """A Kubernetes whose Flink clusters, deployed by Flink's operator, are found: NAME.NAMESPACE.DEPLOYMENT."""

    url: Annotated[tuple[str, ...], BeforeValidator(split_urls)] = Field(
        default=("{scheme}://{service}.{namespace}:{port}",),
        description="Address of a deployment's REST interface. {scheme}, {service}, {namespace}, {name} and {port} are "
        "those of the deployment. Change it to go through an ingress.",
    )
    kubeconfig: str = Field(
        default="",
        description="File of the cluster and the account. Empty: the service account of the pod, outside of Kubernetes "
        "KUBECONFIG or ~/.kube/config.",
    )
    context: str = Field(default="", description="Context of the kubeconfig. Empty: its current one.")
    namespaces: NameList = Field(
        default=(), description="Where to look. Empty: in all namespaces, which takes a ClusterRole."
    )
    label_selector: str = Field(default="", description="Only deployments with such labels, such as tier=prod.")
    team_labels: NameList = Field(
        default=("autostream.team",), description="Labels that name a team. The first that an object has counts."
    )
    owner_labels: NameList = Field(
        default=("autostream.owner",), description="Labels that name an owner. The first that an object has counts."
    )

    @field_validator("url")
    @classmethod
    def _is_address(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        example = {"scheme": "http", "service": "s", "namespace": "n", "name": "d", "port": "8081"}
        for url in urls:
            try:
                Address.parse(url.format_map(example))
            except (KeyError, IndexError) as error:
                raise ValueError(f"has {url!r}, in which {error} stands for nothing") from None
            except ConfigurationError as error:
                raise ValueError(str(error).rstrip(".")) from None
        return urls


class JobRule(ListedSection):
    """Team and owner of the jobs whose names match."""

    job: RegularExpression = Field(
        examples=["prod/(?P<team>[a-z]+)-.+"],
        description="Regular expression for the full name of the job, CLUSTER/NAME.",
    )
    team: str = Field(
        default="",
        description="Team of the job. {NAME} stands for a named group of `job`.",
    )
    owner: str = Field(
        default="",
        description="Owner of the job: a person, an address, a chat group. {NAME} stands for a named group of `job`.",
    )

    @model_validator(mode="after")
    def _names_its_groups(self) -> JobRule:
        groups = re.compile(self.job).groupindex
        for text in (self.team, self.owner):
            for name in re.findall(r"\{(.*?)\}", text):
                if name not in groups:
                    raise ValueError(f"names {{{name}}}, which is not a named group of job = {self.job!r}")
        return self


class FlinkSettings(Section):
    """The Flink clusters whose jobs write the tables."""

    clusters: Annotated[tuple[FlinkClusterSettings, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description=(
            "The Flink clusters. Write `[[flink.clusters]]` once for each. In the environment: one variable for each "
            "key, such as AUTOSTREAM_FLINK__CLUSTERS__PROD__TOKEN for the cluster `prod`, or all clusters as a JSON "
            "list."
        ),
    )

    kubernetes: Annotated[tuple[FlinkKubernetesSettings, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description="Kubernetes clusters in which Flink's operator runs. Write `[[flink.kubernetes]]` once for each. "
        "In the environment: one variable for each key, such as AUTOSTREAM_FLINK__KUBERNETES__PROD__NAMESPACES.",
    )
    jobs: Annotated[tuple[JobRule, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description="The teams and owners of jobs. Write `[[flink.jobs]]` once for each rule. The first rule that "
        "matches a job and has a team gives its team; the owner likewise. The job's own parameters autostream.team and "
        "autostream.owner, and labels in Kubernetes, come first. In the environment: a JSON list.",
    )

    @field_validator("clusters", "kubernetes")
    @classmethod
    def _are_named_differently(cls, clusters: tuple[FlinkClusterSettings, ...]) -> tuple[FlinkClusterSettings, ...]:
        names = [cluster.name for cluster in clusters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{names.count(name)} clusters have the name {name}: give each cluster its own name")
        return clusters
