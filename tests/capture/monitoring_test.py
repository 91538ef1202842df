#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/prometheus and deploy/grafana as files: promtool's judgement of the rules, and the form of the dashboards. That every expression
answers on live traffic is tests/live/prometheus_test.py's. usage: monitoring_test.py [-k REGEX]"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Suite, equal, main  # noqa: E402

PROMETHEUS = os.path.join(ROOT, "deploy", "prometheus")
GRAFANA = os.path.join(ROOT, "deploy", "grafana")
UNITS = {"none", "percentunit", "bps", "Bps", "bytes", "pps", "cps", "s", "hertz"}  # of Grafana's list
suite = Suite()


def promtool(*argv):
    done = subprocess.run(["promtool", *argv], cwd=PROMETHEUS, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dashboards():
    found = sorted(glob.glob(os.path.join(GRAFANA, "dashboards", "*.json")))
    assert len(found) == 5, found
    for path in found:
        with open(path, encoding="utf-8") as f:
            yield os.path.basename(path), json.load(f)


@suite.case("promtool: the configuration and the rules are valid")
def _():
    promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", "mptap.rules.yml")


@suite.case("promtool: each alert fires when its thing is wrong, and none when all is well")
def _():
    promtool("test", "rules", "mptap.test.yml")


@suite.case("each alert has a severity, a summary, a description and a runbook, and is in the rules' own test")
def _():
    with open(os.path.join(PROMETHEUS, "mptap.rules.yml"), encoding="utf-8") as f:
        alerts = re.split(r"\n      - alert: ", f.read().replace("\n  - name:", "\n      - alert: \n"))[1:]
    with open(os.path.join(PROMETHEUS, "mptap.test.yml"), encoding="utf-8") as f:
        tested = f.read()
    names = []
    for alert in alerts:
        name = alert.split("\n")[0]
        if not name:
            continue
        names.append(name)
        for wanted in ("labels: {severity: ", "summary: ", "description: ", "runbook: "):
            assert wanted in alert, f"{name} has no {wanted}"
        assert f'"{name}"' in tested, f"{name} is not in mptap.test.yml"
    assert len(names) > 15 and len(set(names)) == len(names), names


@suite.case("the dashboards are what their table says")
def _():
    done = subprocess.run([sys.executable, os.path.join(GRAFANA, "make.py"), "--check"], capture_output=True, text=True, timeout=60)
    equal("make.py --check", (done.returncode, done.stderr), (0, ""))


@suite.case("panels have descriptions, units and thresholds, lie beside each other, and ask the chosen data source")
def _():
    uids = set()
    for name, d in dashboards():
        uids.add(d["uid"])
        equal(f"{name}: variables", [(v["name"], v["type"]) for v in d["templating"]["list"]], [("datasource", "datasource"), ("instance", "query")])
        taken, ids = set(), set()
        for p in d["panels"]:
            where = f"{name}: {p['title']}"
            ids.add(p["id"])
            assert p["type"] in ("stat", "timeseries"), where
            assert len(p["description"]) > 10, f"{where}: a description"
            defaults = p["fieldConfig"]["defaults"]
            assert defaults["unit"] in UNITS, f"{where}: unit {defaults['unit']}"
            assert defaults["thresholds"]["steps"][0]["value"] is None, f"{where}: the first threshold holds from below"
            assert p["targets"], f"{where}: a query"
            for target in p["targets"]:
                assert target["expr"] and target["legendFormat"], where
                equal(f"{where}: data source", target["datasource"], {"type": "prometheus", "uid": "${datasource}"})
                assert "$instance" in target["expr"], f"{where}: the appliance can be chosen"
            g = p["gridPos"]
            cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
            assert g["x"] + g["w"] <= 24 and not cells & taken, f"{where}: overlaps another panel"
            taken |= cells
        equal(f"{name}: panel ids", len(ids), len(d["panels"]))
    equal("uids", len(uids), 5)


if __name__ == "__main__":
    main(suite)
