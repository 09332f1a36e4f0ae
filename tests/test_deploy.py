"""The manifests for Kubernetes: valid against KubeRay's schema, and in keeping with this project."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import tomllib
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "kuberay"
MANIFESTS = ("cluster.yaml", "coordinator.yaml", "campaign.yaml")

#: A folder with KubeRay's custom resource definitions, its repository's ray-operator/config/crd/bases.
#: The manifests are written for those of v1.7.0.
CRDS = "TUNEFLEET_KUBERAY_CRDS"


def documents(*files: str) -> list[dict[str, Any]]:
    return [found for name in files for found in yaml.safe_load_all((FOLDER / name).read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [found for found in documents(*MANIFESTS) if found["kind"] == kind]


def containers(pod: dict[str, Any]) -> dict[str, Any]:
    [container] = pod["spec"]["containers"]
    return dict(container)


@functools.cache
def schema_of(kind: str) -> dict[str, Any]:
    where = os.environ.get(CRDS)
    if not where:
        pytest.skip(f"{CRDS} names no folder with KubeRay's custom resource definitions")
    path = Path(where) / f"ray.io_{kind.lower()}s.yaml"
    # The C parser, where it is there: it is a megabyte.
    definition = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    [schema] = [v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"] if v["name"] == "v1"]
    schema["properties"]["metadata"] = {"x-kubernetes-preserve-unknown-fields": True}
    _close(schema)
    return dict(schema)


def _close(schema: dict[str, Any]) -> None:
    """Have a schema refuse what it doesn't name: the server would drop such a field without a word."""
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    children = [
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    for child in children:
        if isinstance(child, dict):
            _close(child)


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_a_manifest_is_valid_against_kuberays_schema(kind: str) -> None:
    found = of_kind(kind)
    assert found
    for manifest in found:
        jsonschema.validate(manifest, schema_of(kind))


def test_a_field_that_kuberay_does_not_know_is_refused() -> None:
    [cluster] = of_kind("RayCluster")
    containers(cluster["spec"]["headGroupSpec"]["template"])  # what is changed below is there
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(jsonschema.ValidationError, match="imagePullPolice"):
        jsonschema.validate(cluster, schema_of("RayCluster"))


def test_ray_is_the_version_that_was_tested_and_all_pods_have_one_image() -> None:
    [cluster] = of_kind("RayCluster")
    assert f"\nray=={cluster['spec']['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {containers(group["template"])["image"] for group in groups} == {f"tunefleet:{version}"}


def test_no_node_joins_without_the_token_and_no_pod_runs_as_root() -> None:
    [cluster] = of_kind("RayCluster")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    for group in [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]:
        pod = group["template"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert containers(pod)["securityContext"]["allowPrivilegeEscalation"] is False


def test_what_a_manifest_names_is_there() -> None:
    [cluster] = of_kind("RayCluster")
    claims = {found["metadata"]["name"] for found in of_kind("PersistentVolumeClaim")}
    head = cluster["spec"]["headGroupSpec"]["template"]
    volumes = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in head["spec"]["volumes"]
    }
    assert set(volumes.values()) <= claims
    assert {mount["name"] for mount in containers(head)["volumeMounts"]} == set(volumes)
    name = cluster["metadata"]["name"]
    jobs = of_kind("RayJob")
    assert len(jobs) == 2
    assert all(job["spec"]["clusterSelector"] == {"ray.io/cluster": name} for job in jobs)
    [policy] = of_kind("NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": name}


def test_the_records_and_the_models_lie_on_the_volume() -> None:
    [cluster] = of_kind("RayCluster")
    head = containers(cluster["spec"]["headGroupSpec"]["template"])
    [mount] = head["volumeMounts"]
    settings = {variable["name"]: variable.get("value") for variable in head["env"]}
    assert settings["XDG_DATA_HOME"] == mount["mountPath"]
    for text in (
        (FOLDER / "campaign.yaml").read_text(),
        *re.findall("kubectl cp.*", (FOLDER / "campaign.yaml").read_text()),
    ):
        assert f"{mount['mountPath']}/" in text


def test_the_image_is_built_from_what_is_in_the_repository() -> None:
    copied = re.findall(r"(?m)^COPY (.*) \S+$", (FOLDER / "Dockerfile").read_text())
    names = {name for line in copied for name in line.split()}
    assert {"pyproject.toml", "constraints.txt", "orchestrator", "workers"} <= names
    assert all((ROOT / name).exists() for name in names)
    kept = set(re.findall(r"(?m)^!(.*)$", (FOLDER / "Dockerfile.dockerignore").read_text()))
    assert kept == names
