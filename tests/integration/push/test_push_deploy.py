"""What is in deploy/ for push can be used: files are read, metrics and flags are ours, times agree."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from gateways.cli.push import command
from gateways.push.config import PushConfig
from gateways.push.config_file import PushProgram, load_program
from gateways.push.gateway import PushGateway
from gateways.service.config_file import EXIT_CONFIG
from nsqgw.service.admin import service_registry

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.fixture
async def live(nsqd) -> set[str]:
    """The names of all metrics of a gateway that runs."""
    config = PushConfig(("events",), listen="127.0.0.1:0", nsqd_tcp_addresses=(nsqd.tcp_address,))
    gateway = PushGateway(config)
    await gateway.start()
    text = generate_latest(service_registry(gateway)).decode()
    await gateway.stop()
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def names(expression: str) -> set[str]:
    return set(re.findall(r"\bnsqgw_\w+", expression))


def configured(text: str, folder: Path) -> PushProgram:
    file = folder / "push.toml"
    file.write_text(text)
    return load_program(file, environ={})


def can_be_run(words: list[str]) -> bool:
    flags = {flag for parameter in command.params for flag in parameter.opts}
    return words[0] == "push" and all(word in flags for word in words if word.startswith("--"))


async def test_alerts_and_dashboard_are_about_metrics_that_exist(live: set[str]) -> None:
    (group,) = yaml.safe_load((DEPLOY / "push-alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        assert names(rule["expr"])
        assert names(rule["expr"]) <= live
        assert rule["annotations"].keys() == {"summary", "description"}
    dashboard = json.loads((DEPLOY / "push-grafana-dashboard.json").read_text())
    shown = {
        name for panel in dashboard["panels"] for each in panel["targets"] for name in names(each["expr"])
    }
    assert shown <= live
    assert {name for rule in group["rules"] for name in names(rule["expr"])} <= shown
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_the_systemd_unit(tmp_path: Path) -> None:
    unit = DEPLOY / "nsqgw-push.service"
    if shutil.which("systemd-analyze") is not None:
        done = subprocess.run(
            ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    service = parser["Service"]
    assert can_be_run(shlex.split(service["ExecStart"].removeprefix("/usr/bin/env nsqgw ")))
    assert (service["Type"], int(service["RestartPreventExitStatus"])) == ("notify", EXIT_CONFIG)
    settings = configured((DEPLOY / "push.toml").read_text(), tmp_path).service
    assert int(service["TimeoutStopSec"]) > settings.drain_timeout + 5
    assert int(service["TimeoutStartSec"]) > settings.connect_timeout


def test_the_manifest_for_kubernetes(tmp_path: Path) -> None:
    manifest: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "push-kubernetes.yaml").read_text()))
    by_kind = {each["kind"]: each for each in manifest}
    program = configured(by_kind["ConfigMap"]["data"]["push.toml"], tmp_path)
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert can_be_run(container["args"])
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert program.config.listen.endswith(f":{ports['browsers']}")
    assert program.service.admin_address.endswith(f":{ports['admin']}")
    assert pod["terminationGracePeriodSeconds"] > program.service.drain_timeout
    probe = container["readinessProbe"]
    assert program.service.drain_delay > 3 * probe["periodSeconds"]
    mounts = {each["name"] for each in container["volumeMounts"]}
    assert {each["name"] for each in pod["volumes"]} == mounts
    assert by_kind["Service"]["spec"]["ports"][0]["targetPort"] in ports
