"""What is in deploy/ can be used: the tools it is for accept it, and every name in it is one of ours."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from gateways.cli.ship import SUBCOMMANDS, command
from gateways.service.config_file import EXIT_CONFIG
from gateways.ship.config import ShipConfig
from gateways.ship.config_file import load_config
from gateways.ship.gateway import ShipGateway
from gateways.ship.settings import ShipSettings
from harness.embedded import EmbeddedNsqd
from nsqgw.service.admin import service_registry

DEPLOY = Path(__file__).parents[3] / "deploy"
ENVIRON = {"LOGS_URL": "https://logs.example.com/in"}


@pytest.fixture
def nsqd() -> Iterator[EmbeddedNsqd]:
    with closing(EmbeddedNsqd()) as daemon:
        daemon.start()
        yield daemon


@pytest.fixture
async def live(nsqd: EmbeddedNsqd, tmp_path: Path) -> set[str]:
    """The names of all metrics of a gateway that runs, as Prometheus stores them."""
    values = {
        "topics": ("events",),
        "channel": "ship",
        "nsqd_tcp_addresses": (nsqd.tcp_address,),
        "sinks": [{"to": {"type": "file", "path": str(tmp_path / "out")}}],
    }
    gateway = ShipGateway(ShipConfig((ShipSettings.model_validate(values),)))
    await gateway.start()
    text = generate_latest(service_registry(gateway)).decode()
    await gateway.stop()
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    # A counter of what has not happened to any stream yet has a type and no sample.
    return names | {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def unknown(expression: str, live: set[str]) -> set[str]:
    return set(re.findall(r"\b(?:nsqgw|process)_\w+", expression)) - live


def configured(text: str, folder: Path) -> ShipConfig:
    file = folder / "ship.toml"
    file.write_text(text)
    return load_config(file, environ=ENVIRON)


def can_be_run(words: list[str]) -> bool:
    """Whether the command line is one that `nsqgw` takes."""
    assert words[:2] == ["nsqgw", "ship"]
    if words[2] in SUBCOMMANDS:
        return True
    flags = {flag for parameter in command.params for flag in parameter.opts}
    return all(word in flags for word in words[2:] if word.startswith("--"))


async def test_alerts_and_dashboard_are_about_metrics_that_exist(live: set[str]) -> None:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    assert group["rules"]
    for rule in group["rules"]:
        assert unknown(rule["expr"], live) == set()
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("warning", "critical")
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [variable["query"] for variable in dashboard["templating"]["list"]]
    assert [unknown(expression, live) for expression in expressions] == [set()] * len(expressions)
    shown = {name for text in expressions for name in re.findall(r"\bnsqgw_ship_\w+", text)}
    told = {name for rule in group["rules"] for name in re.findall(r"\bnsqgw_ship_\w+", rule["expr"])}
    assert told - shown == {"nsqgw_ship_last_reload_failed"}, "what wakes somebody is on the dashboard, too"


def test_panels_have_a_place_of_their_own() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        place = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not place & taken
        assert at["x"] + at["w"] <= 24
        taken |= place


def test_the_configuration(tmp_path: Path) -> None:
    config = configured((DEPLOY / "ship.toml").read_text(), tmp_path)
    assert [pipeline.name for pipeline in config.pipelines] == ["events"]


def test_the_systemd_unit(tmp_path: Path) -> None:
    unit = DEPLOY / "nsqgw-ship.service"
    if shutil.which("systemd-analyze") is not None:
        done = subprocess.run(
            ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    service = parser["Service"]
    assert can_be_run(shlex.split(service["ExecStart"].removeprefix("/usr/bin/env ")))
    assert service["Type"] == "notify"
    assert int(service["RestartPreventExitStatus"]) == EXIT_CONFIG
    config = configured((DEPLOY / "ship.toml").read_text(), tmp_path)
    assert int(service["TimeoutStopSec"]) > config.service.drain_timeout
    assert int(service["TimeoutStartSec"]) > config.service.connect_timeout


def test_the_manifest_for_kubernetes(tmp_path: Path) -> None:
    manifest: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    by_kind = {each["kind"]: each for each in manifest}
    pod = by_kind["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    for name, text in by_kind["Secret"]["stringData"].items():
        (tmp_path / name).write_text(text)
    text = by_kind["ConfigMap"]["data"]["ship.toml"]
    assert f'folder = "{mounts["secrets"]}"' in text
    config = configured(text.replace(mounts["secrets"], str(tmp_path)), tmp_path)
    assert config.service.reload_interval > 0
    assert {each["name"] for each in pod["spec"]["volumes"]} == mounts.keys()
    assert can_be_run(["nsqgw", *container["args"]])
    assert pod["spec"]["terminationGracePeriodSeconds"] >= config.service.drain_timeout + 10
    (port,) = container["ports"]
    assert config.service.admin_address == f"0.0.0.0:{port['containerPort']}"
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": port["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    labels = pod["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert by_kind[kind]["spec"]["selector"]["matchLabels"] == labels
    assert {each["metadata"]["name"] for each in manifest} == {"nsqgw-ship"}


def test_the_image() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line and not line.startswith("#")]
    last = dict(steps)
    assert can_be_run([*json.loads(last["ENTRYPOINT"]), *json.loads(last["CMD"])])
    assert can_be_run(json.loads(re.sub(r"^.*CMD ", "", last["HEALTHCHECK"])))
    assert last["USER"].split(":")[0].isdigit()
    assert last["USER"] != "0"
    assert last["STOPSIGNAL"] == "SIGTERM"


def test_the_builder_of_the_image_gets_what_is_installed_and_nothing_else() -> None:
    everything, *lines = (DEPLOY.parent / ".dockerignore").read_text().splitlines()[1:]
    assert everything == "*"
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert kept == {"LICENSE", "README.md", "setup.cfg", "pyproject.toml", "nsqgw", "gateways", "compat"}
    assert all((DEPLOY.parent / name).exists() for name in kept)
