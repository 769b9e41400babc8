"""What the predecessor's documentation says about the configuration still holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from hybridpg.app.config import backend_options, load_config
from hybridpg.controller import LeaseConfig

COMPLETE = """
handler_on_resume: false # If set to true every available resource is reconciled on restart
backend: helmbitnami
allowed_backends: []
backends:
  azure:
    subscription_id: 1-2-3-4-5
    location: westeurope
    name_pattern: "foobar-{namespace}-{name}"
    resource_group: foobar-rg
    virtual_network: null
    subnet: null
    cpu_limit: 64
    storage_limit_gb: 512
    server_delete_fake: false
    database_delete_fake: false
    lock_from_deletion: false
    admin_username: postgres
    tags: {}
    network:
      public_access: true
      allow_azure_services: true
    parameters:
      geo_redundant_backup: false
      backup_retention_days: 7
      network:
        firewall_rules:
          - name: foobar
            startIp: 1.2.3.4
            endIp: 1.2.3.4
  azurepostgres:
    classes:
      dev:
        name: GP_Gen5_2
        tier: GeneralPurpose
        family: Gen5
        capacity: 2
    default_class: dev
    network:
      create_private_endpoint: false
      vnets:
        - vnet: foobar-vnet
          subnet: default
    parameters:
      infrastructure_encryption: Disabled
  azurepostgresflexible:
    classes:
      dev:
        name: Standard_B1ms
        tier: Burstable
      small:
        name: Standard_D2ds_v4
        tier: GeneralPurpose
    default_class: dev
    availability_zone: "1"
    standby_availability_zone: "2"
    dns_zone:
      name: privatelink.postgres.database.azure.com
      resource_group: foobar-rg
  aws:
    region: eu-central-1
    vpc_security_group_ids: []
    subnet_group: # The name of a DB subnet group
    deletion_protection: false
    network:
      public_access: false
    admin_username: postgres
    name_pattern: "{namespace}-{name}"
    tags: {}
  awsrds:
    availability_zone: eu-central-1a
    default_class: small
    classes:
      small:
        instance_type: db.m5.large
        storage_type: gp2
        iops: 0
  awsaurora:
    availability_zones: []
    default_class: small
    classes:
      small:
        instance_type: db.serverless
        scaling_configuration:
          min_capacity: 0.5
          max_capacity: 1
        storage_type: aurora
        iops: 0
  helmbitnami:
    default_class: small
    classes:
      small:
        cpu: "1000m"
        memory: "256Mi"
    admin_username: postgres
    storage_class: ""
    pvc_cleanup: false
  helmyugabyte:
    default_class: small
    classes:
      small:
        master:
          cpu: "1000m"
          memory: "256Mi"
        tserver:
          cpu: "1000m"
          memory: "256Mi"
    replicas_master: 1
    replicas_tserver: 1
    partitions_master: 1
    partitions_tserver: 1
    storage_class: ""
    pvc_cleanup: false
security:
  password_length: 16
  special_characters: true
"""

MINIMAL_AWS = """
handler_on_resume: false
backend: awsrds
allowed_backends:
  - awsrds
backends:
  awsrds:
    name_pattern: "{namespace}-{name}"
    region: eu-central-1
    availability_zone: "eu-central-1c"
    subnet_group: "<db-subnet-group>" # You must create it
    vpc_security_group_ids: ["<security-group-id>"] # You must create it
    network:
      public_access: true
    classes:
      small:
        instance_type: db.m5.large
    default_class: small
"""


class NetworkOptions(BaseModel):
    """The network section of a cloud."""

    model_config = ConfigDict(extra="forbid")
    public_access: bool = True
    allow_azure_services: bool = False
    create_private_endpoint: bool = False


class FlexibleOptions(BaseModel):
    """The part of a cloud backend's options that these tests look at."""

    model_config = ConfigDict(extra="ignore")
    subscription_id: str
    cpu_limit: int | None = None
    virtual_network: str | None = None
    tags: dict[str, str] = {}
    network: NetworkOptions = NetworkOptions()
    dns_zone: str | dict[str, str] | None = None


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(COMPLETE)
    return path


def test_the_complete_file_is_read(complete: Path):
    """C1-C3, C30."""
    config = load_config(complete, {})

    assert config.handler_on_resume is False
    assert config.backend == "helmbitnami"
    assert config.allowed_backends == ()
    assert config.security.password_length == 16
    assert config.security.special_characters is True
    assert set(config.backends) == {
        "azure",
        "azurepostgres",
        "azurepostgresflexible",
        "aws",
        "awsrds",
        "awsaurora",
        "helmbitnami",
        "helmyugabyte",
    }


def test_the_sections_of_backends_stay_as_they_were_written(complete: Path):
    """C4-C29: a backend that is not installed must not make its section unreadable."""
    backends = load_config(complete, {}).backends

    assert backends["azure"]["parameters"]["network"]["firewall_rules"] == [
        {"name": "foobar", "startIp": "1.2.3.4", "endIp": "1.2.3.4"}
    ]
    assert backends["aws"]["subnet_group"] is None
    assert backends["azurepostgresflexible"]["availability_zone"] == "1"
    assert backends["awsaurora"]["classes"]["small"]["scaling_configuration"] == {
        "min_capacity": 0.5,
        "max_capacity": 1,
    }


def test_a_specific_backend_gets_the_options_of_its_cloud(complete: Path):
    """H30."""
    options = backend_options(load_config(complete, {}), "azurepostgresflexible", FlexibleOptions)

    assert options.subscription_id == "1-2-3-4-5"
    assert options.cpu_limit == 64
    assert options.virtual_network is None
    assert options.network.allow_azure_services is True


def test_the_minimal_file_of_aws_is_read(tmp_path: Path):
    """H33."""
    path = tmp_path / "aws.yaml"
    path.write_text(MINIMAL_AWS)

    config = load_config(path, {})

    assert config.allowed_backends == ("awsrds",)
    assert config.backends["awsrds"]["classes"] == {"small": {"instance_type": "db.m5.large"}}


def test_the_documented_variable_sets_the_documented_option(complete: Path):
    """H29: the documentation's own example, with and without the backend being installed."""
    environ = {"HYBRIDCLOUD_BACKENDS_AZURE_SUBSCRIPTION_ID": "6-7-8"}

    for options in ({}, {"azurepostgresflexible": FlexibleOptions}):
        config = load_config(complete, environ, options)

        assert config.backends["azure"]["subscription_id"] == "6-7-8"
        assert config.backends["azure"]["location"] == "westeurope", "the rest of the file stays"


def test_the_file_is_named_by_operator_config(complete: Path):
    """H28."""
    config = load_config(None, {"OPERATOR_CONFIG": str(complete)})

    assert config.backend == "helmbitnami"


def test_the_file_is_config_yaml_where_nothing_names_one(
    complete: Path, monkeypatch: pytest.MonkeyPatch
):
    """H28."""
    monkeypatch.chdir(complete.parent)

    assert load_config(None, {}).backend == "helmbitnami"


def test_a_file_named_on_the_command_line_wins(complete: Path, tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text("backend: local")

    assert load_config(other, {"OPERATOR_CONFIG": str(complete)}).backend == "local"


def test_without_any_file_the_environment_alone_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    assert load_config(None, {"HYBRIDCLOUD_BACKEND": "local"}).backend == "local"


def test_what_is_not_written_has_the_documented_default(tmp_path: Path):
    """C1, C3: and nothing is deleted unless an administrator says so."""
    path = tmp_path / "config.yaml"
    path.write_text("backend: local\nsecurity:\nnamespaces: {}\n")

    config = load_config(path, {})

    assert config.handler_on_resume is False
    assert config.allowed_backends == ()
    assert config.backends == {}
    assert (config.security.password_length, config.security.special_characters) == (None, None)
    assert (config.deletion.servers, config.deletion.databases) == ("Retain", "Retain")
    assert config.extensions.allowed is None
    assert config.controller.cluster_id is None
    assert config.controller.watch_namespaces == ()
    assert config.controller.secret_check_seconds == 30
    assert config.controller.sql_route == "auto"


def test_every_option_of_ours_is_read(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(
        """
backend: local
allowed_backends: [local, external]
controller:
  cluster_id: blue
  workers: 4
  watch_namespaces: [team-a, team-b]
  secret_check_seconds: 5
  sql_route: direct
  lease: {name: second, namespace: platform, duration_seconds: 30, renew_deadline_seconds: 20}
  health_address: "[::1]:9090"
  tune_collector: false
  tracing: true
deletion: {servers: Snapshot, databases: Delete}
extensions: {allowed: [pgcrypto]}
namespaces:
  "team-*":
    allowed_backends: [local]
    limits: {servers: 2, storageGB: 100, cpu: 8}
"""
    )

    config = load_config(path, {})

    assert config.controller.workers == 4
    assert config.controller.watch_namespaces == ("team-a", "team-b")
    assert config.controller.lease.lease("own") == LeaseConfig("platform", "second", 30, 20, 2)
    assert config.controller.health_address == "[::1]:9090"
    assert not config.controller.tune_collector
    assert config.controller.tracing
    assert config.deletion.servers == "Snapshot"
    assert config.extensions.allowed == ("pgcrypto",)
    team = config.namespaces["team-*"]
    assert team.allowed_backends == ("local",)
    assert (team.limits.servers, team.limits.storage_gb, team.limits.cpu) == (2, 100, 8)
