"""Keys that were replaced: still read, as what replaces them, with a warning that says what to write instead. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from autostream.config.sections.base import parse_list, split_list
from autostream.masking import learn, mask, secrets_in

Values = dict[str, dict[str, Any]]
"""What was read: section, key, value."""

Origins = dict[tuple[str, str], str]
"""Where it was read from: section and key, origin."""


def replace_retired(values: Values, origins: Origins) -> list[str]:
    """Move the values of retired keys to where they belong now, and return what to tell about each."""
    used = [(key, replace) for key, replace in RETIRED.items() if key[1] in values.get(key[0], {})]
    return [warning for key, replace in used if (warning := replace(values, origins, *key))]


def _name_clusters(values: Values, origins: Origins, section: str, key: str) -> str:
    """Make clusters with names of a list of URLs."""
    origin = origins.pop((section, key))
    urls = split_list(values[section].pop(key))
    if not urls:
        return ""
    flink = values.setdefault("flink", {})
    clusters = flink["clusters"] = list(parse_list(flink.get("clusters", [])))
    names = [_name_of(str(url), clusters) for url in urls]
    chosen = split_list(values[section].get("flink_clusters", []))
    values[section]["flink_clusters"] = [*chosen, *names]
    for replacing in (("flink", "clusters"), (section, "flink_clusters")):
        origins.setdefault(replacing, f"{origin}, by `{section}.{key}`")
    entries = " ".join(
        f'[[flink.clusters]] name = "{name}" url = "{mask(str(url))}"' for name, url in zip(names, urls, strict=True)
    )
    listed = ", ".join(f'"{name}"' for name in names)
    return (
        f"`{section}.{key}` ({origin}) is deprecated: clusters now have names. Write {entries} and, in [{section}], "
        f"flink_clusters = [{listed}] instead. Without `flink_clusters`, all clusters are used."
    )


def _name_of(url: str, clusters: list[dict[str, Any]]) -> str:
    """Return the name of the cluster at an address, which is made up and added where there is none."""
    learn(*secrets_in(url))
    for cluster in clusters:
        if isinstance(cluster, dict) and cluster.get("url") in (url, [url]):
            return str(cluster.get("name"))
    try:
        parts = urlsplit(url)
        words = [parts.hostname or "", str(parts.port or ""), *parts.path.split("/")]
    except ValueError:  # what is wrong with it is told when it is checked
        words = []
    base = "-".join(part for word in words if (part := re.sub(r"[^A-Za-z0-9._-]+", "-", word).strip("-"))) or "cluster"
    taken = {str(cluster.get("name")) for cluster in clusters if isinstance(cluster, dict)}
    name = next(name for n in range(1, len(taken) + 2) if (name := base if n == 1 else f"{base}-{n}") not in taken)
    clusters.append({"name": name, "url": url})
    return name


RETIRED: Final[dict[tuple[str, str], Callable[[Values, Origins, str, str], str]]] = {
    ("janitor", "flink_urls"): _name_clusters,
    ("watermark", "flink_urls"): _name_clusters,
}
"""Section and key of each, and what moves its value."""
