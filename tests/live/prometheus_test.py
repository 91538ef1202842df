#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's Prometheus with deploy/prometheus scrapes an mptapd that sees live traffic: every expression of every panel and rule answers,
and the alert on a split attack fires. usage: prometheus_test.py MPTAPD [-k REGEX]"""
import glob
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAPD = os.path.abspath(sys.argv[1])
DEPLOY = os.path.join(ROOT, "deploy")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-prometheus-")

# Runs in the namespace of Prometheus: the answers to all paths, one after the other.
ASK = """
import json, sys, urllib.request, urllib.error
answers = []
for path in json.loads(sys.argv[1]):
    try:
        with urllib.request.urlopen('http://127.0.0.1:9090' + path, timeout=20) as a: answers.append(json.load(a))
    except urllib.error.HTTPError as e: answers.append(json.load(e))
    except OSError as e: answers.append({'status': 'error', 'error': str(e)})
print(json.dumps(answers))
"""


def needs_lab():
    if why := lab.why_not():
        raise Skip(why)
    if not shutil.which("prometheus"):
        raise Skip("prometheus is not installed: deploy/install-deps.sh test")


def text(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def write(name, content):
    path = os.path.join(work.name, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(content)
    return path


def start_mptapd(net):
    path = write("mptap.toml", f"""ports = ["net_af_packet0,iface=br0"]
[workers]
count = 2
[rules]
files = ["{os.path.join(DEPLOY, 'quickstart.rules')}"]
[events]
file = "{os.path.join(work.name, 'eve.json')}"
[control]
address = ""
[timeouts]
closed_s = 1
""")
    err = os.path.join(work.name, "mptapd.err")
    with open(err, "wb") as f:
        process = net.start("tap", [MPTAPD, "--config", path], stdout=f, stderr=f)
    net.wait(lambda: "started:" in text(err) or process.poll() is not None, "mptapd to start", 60)
    assert process.poll() is None, f"mptapd ended: {text(err)[-800:]}"
    return process


def start_prometheus(net):
    """With the shipped files; only the intervals are shorter."""
    config = text(os.path.join(DEPLOY, "prometheus", "prometheus.yml"))
    assert config.count("_interval: 15s") == 2, config
    path = write("prometheus.yml", config.replace("_interval: 15s", "_interval: 1s"))
    shutil.copy(os.path.join(DEPLOY, "prometheus", "mptap.rules.yml"), work.name)
    err = os.path.join(work.name, "prometheus.err")
    with open(err, "wb") as f:
        process = net.start("tap", ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={os.path.join(work.name, 'tsdb')}",
                                    "--web.listen-address=127.0.0.1:9090"], stdout=f, stderr=f)
    net.wait(lambda: "Server is ready" in text(err) or process.poll() is not None, "Prometheus to start", 60)
    assert process.poll() is None, text(err)[-800:]
    return process


def ask(net, paths):
    return json.loads(net.run("tap", [sys.executable, "-c", ASK, json.dumps(paths)]))


def query(net, expressions):
    """For each expression its samples' values; a sentence instead where it is wrong."""
    from urllib.parse import quote
    results = []
    for answer in ask(net, ["/api/v1/query?query=" + quote(e) for e in expressions]):
        if answer["status"] != "success":
            results.append(answer.get("error", "?"))
        else:
            results.append([float(s["value"][1]) for s in answer["data"]["result"]])
    return results


def answers(result):
    return isinstance(result, list) and any(not math.isnan(v) for v in result)


def operands(expr):
    """What an alert compares with numbers: the parts whose values must exist for the comparison to mean something."""
    parts = [re.split(r"\s(?:[<>]=?|[=!]=)\s(?=[\d.]+$)", part.strip())[0] for part in expr.split(" and ")]
    assert all(p != e.strip() for p, e in zip(parts, expr.split(" and "))), f"no comparison with a number in {expr}"
    return parts


def panel_expressions():
    found = {}
    for path in sorted(glob.glob(os.path.join(DEPLOY, "grafana", "dashboards", "*.json"))):
        d = json.loads(text(path))
        for p in d["panels"]:
            for target in p["targets"]:
                found[f"{d['title']} / {p['title']} {target['refId']}"] = target["expr"]
        for note in d["annotations"]["list"]:
            found[f"{d['title']} / annotation {note['name']}"] = operands(note["expr"])[0]
        for variable in d["templating"]["list"]:
            if variable["type"] == "query":
                found[f"{d['title']} / variable {variable['name']}"] = re.match(r"label_values\((.*), \w+\)$", variable["query"])[1]
    return {name: e.replace("$instance", ".*").replace("$__rate_interval", "1m").replace("$__range", "1h") for name, e in found.items()}


@suite.case("every expression of every panel and rule answers, and a split attack fires its alert")
def _():
    needs_lab()
    with lab.Lab(paths=2, rate="40mbit") as net:
        lab.join_on_path_2(net)
        daemon = start_mptapd(net)
        start_prometheus(net)
        # Two scrapes before, so that what the traffic adds is an increase.
        net.wait(lambda: answers(query(net, ["rate(mptap_worker_heartbeats_total[1m])"])[0]), "two scrapes", 60)
        server, _ = net.converse(["evil"])
        equal("what the server read", server["received"], "Hevil stuff")
        net.converse(["transfer"], [1 << 20, 2], [1 << 20, 1, 2])

        rules = [r for g in ask(net, ["/api/v1/rules"])[0]["data"]["groups"] for r in g["rules"]]
        wanted = panel_expressions()
        for r in rules:
            parts = [r["query"]] if r["type"] == "recording" else operands(r["query"])
            wanted.update({f"{r['type']} rule {r['name']} {json.dumps(r.get('labels', {}))} {i}": part for i, part in enumerate(parts)})
        assert len(wanted) > 100 and sum(r["type"] == "alerting" for r in rules) > 15, (len(wanted), len(rules))
        silent = dict(wanted)

        def all_answer():
            for name, result in zip(list(silent), query(net, list(silent.values()))):
                if answers(result):
                    del silent[name]
                elif isinstance(result, str):
                    raise AssertionError(f"{name}: {silent[name]}: {result}")
            return not silent
        try:
            net.wait(all_answer, "every expression to answer", 90)
        except lab.LabError:
            raise AssertionError("no answer: " + "; ".join(f"{n}: {e}" for n, e in silent.items())) from None
        net.wait(lambda: answers(query(net, ['ALERTS{alertname="MptapSplitAttack",alertstate="firing"}'])[0]), "the alert to fire", 60)
        rules = [r for g in ask(net, ["/api/v1/rules"])[0]["data"]["groups"] for r in g["rules"]]
        equal("rules that Prometheus could not evaluate", [r["name"] for r in rules if r["health"] != "ok"], [])
        equal("an alert that is wrong here", query(net, ['ALERTS{alertname=~"MptapDown|MptapWorkerStalled|MptapPortDown|MptapSinkUnhealthy"}'])[0], [])
        target = ask(net, ["/api/v1/targets"])[0]["data"]["activeTargets"][0]
        equal("the target", (target["health"], target["lastError"]), ("up", ""))
        # And when it is gone, Prometheus says so.
        daemon.send_signal(signal.SIGTERM)
        equal("exit code of mptapd", daemon.wait(60), 0)
        net.wait(lambda: answers(query(net, ['ALERTS{alertname="MptapDown"}'])[0]), "the alert on a dead mptapd", 60)


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
