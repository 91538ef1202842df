#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes dashboards/*.json from the table below: a panel is a title, what it means, a unit, and its queries.

usage: make.py [--check]    --check: writes nothing, fails when a file is not what the table says"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
I = 'instance=~"$instance"'
RATE = "[$__rate_interval]"


def rate(name, labels="", by="instance"):
    return f"sum by ({by}) (rate({name}{{{I}{', ' + labels if labels else ''}}}{RATE}))"


def grown(name, labels="", by="instance"):
    return f"sum by ({by}) (increase({name}{{{I}{', ' + labels if labels else ''}}}[$__range]))"


# thresholds: value -> colour; the first one holds from below.
GOOD_HIGH = [(None, "red"), (0.9, "orange"), (0.99, "green")]
GOOD_LOW = [(None, "green"), (0.001, "orange"), (0.01, "red")]
FULL = [(None, "green"), (0.7, "orange"), (0.9, "red")]
ANY_BAD = [(None, "green"), (1, "red")]
NONE_BAD = [(None, "red"), (1, "green")]


def panel(kind, title, description, unit, *queries, thresholds=None, width=12, height=8, stack=False):
    """queries: (expression, legend)"""
    return dict(kind=kind, title=title, description=description, unit=unit, queries=queries, thresholds=thresholds, width=width,
                height=height, stack=stack)


def stat(*args, **options):
    return panel("stat", *args, **{"width": 4, "height": 4, **options})


def graph(*args, **options):
    return panel("timeseries", *args, **options)


DASHBOARDS = {
    "overview": ("mptap: overview", "Is the appliance well, how much does it see, and has it found anything?", [
        stat("Up", "1 while the appliance answers scrapes.", "none", ("min(up{job=\"mptap\", " + I + "})", "up"), thresholds=NONE_BAD),
        stat("Alerts", "In the time shown.", "none", (f"sum(increase(mptap_alerts_total{{{I}}}[$__range]))", "alerts"), thresholds=ANY_BAD),
        stat("Across subflows", "Alerts on bytes that no single subflow carried: what an IDS per TCP flow misses.", "none",
             (f"sum(increase(mptap_alerts_cross_subflow_total{{{I}}}[$__range]))", "alerts"), thresholds=ANY_BAD),
        stat("Lost packets", "Share of the packets lost before inspection, at the port and between workers, over five minutes.",
             "percentunit", (f"max(mptap:lost:ratio_rate5m{{{I}}})", "lost"), thresholds=GOOD_LOW),
        stat("Busiest worker", "Share of its waking time; above 0.9 it will lose packets at the next burst.", "percentunit",
             (f"max(mptap:worker_busy:ratio_rate1m{{{I}}})", "busy"), thresholds=FULL),
        stat("Connections", "Followed now, MPTCP and TCP.", "none", (f"sum(mptap_connections_open{{{I}}})", "open")),
        graph("Traffic", "Bits received from the tapped links.", "bps", (f"8 * mptap:frame_bytes:rate1m{{{I}}}", "{{instance}}")),
        graph("Packets", "Frames received a second.", "pps", (f"mptap:frames:rate1m{{{I}}}", "{{instance}}")),
        graph("Connections begun", "A second; those whose hosts both took MPTCP up beside all.", "cps",
              (rate("mptap_connections_total"), "{{instance}} all"), (rate("mptap_mptcp_started_total"), "{{instance}} MPTCP")),
        graph("Alerts", "Alerts a second; those across subflows apart.", "cps",
              (rate("mptap_alerts_total", by="instance, action"), "{{instance}} {{action}}"),
              (rate("mptap_alerts_cross_subflow_total"), "{{instance}} across subflows")),
        graph("Visibility", "Share of the acknowledged bytes of ended connections that was seen.", "percentunit",
              (f"mptap:visibility:ratio_rate15m{{{I}}}", "{{instance}}"), thresholds=GOOD_HIGH),
        graph("Limits", "How full the fullest worker's tables and buffers are.", "percentunit",
              (f"mptap:limit_use:ratio{{{I}}}", "{{instance}} {{limit}}"), thresholds=FULL),
    ]),
    "workers": ("mptap: workers and drops", "Where the cycles and the packets go.", [
        graph("Busy", "Share of each worker's waking time in which it had packets.", "percentunit",
              (f"mptap:worker_busy:ratio_rate1m{{{I}}}", "{{instance}} worker {{worker}}"), thresholds=FULL),
        graph("Cycles per frame", "TSC cycles of busy loops per frame received; rules and reassembly make it rise.", "none",
              (f"mptap:worker_cycles_per_frame:ratio_rate1m{{{I}}}", "{{instance}} worker {{worker}}")),
        graph("Frames by worker", "Unequal shares mean that RSS does not spread, or one elephant flow.", "pps",
              (rate("mptap_frames_total", by="instance, worker"), "{{instance}} worker {{worker}}"), stack=True),
        graph("Handed over", "Packets passed on to the owner of their connection, and those sorted to their worker in software.", "pps",
              (rate("mptap_handed_off_total"), "{{instance}} to the owner"), (rate("mptap_spread_total"), "{{instance}} to the shard")),
        graph("Where frames end", "Each frame ends in exactly one of these.", "pps",
              (rate("mptap_packets_total", by="instance, end"), "{{instance}} {{end}}"), stack=True),
        graph("Dropped inside", "Frames that were received and not inspected, for want of room.", "pps",
              (rate("mptap_packets_total", 'end=~"dropped_.*"', by="instance, end"), "{{instance}} {{end}}"),
              thresholds=[(None, "green"), (1, "red")]),
        graph("Lost at the port", "Missed: the queues were full. No buffer: the pool was empty. Errors: malformed on the wire.", "pps",
              (rate("mptap_port_missed_total", by="instance, port"), "{{port}} missed"),
              (rate("mptap_port_no_buffer_total", by="instance, port"), "{{port}} no buffer"),
              (rate("mptap_port_errors_total", by="instance, port"), "{{port}} errors"), thresholds=[(None, "green"), (1, "red")]),
        graph("Rings between workers", "Share in use of the fullest ring to each worker.", "percentunit",
              (f"mptap_lane_depth{{{I}}} / on (job, instance, lane) group_left mptap_lane_capacity{{{I}}}",
               "{{instance}} worker {{worker}} {{lane}}"), thresholds=FULL),
        graph("Receive buffers free", "Share of the port's pool; near zero the driver drops.", "percentunit",
              (f"mptap_port_buffers_free{{{I}}} / mptap_port_buffers{{{I}}}", "{{instance}} {{port}}")),
        graph("Decoder", "Frames by what the decoder made of them; tcp goes on.", "pps",
              (rate("mptap_decoded_total", by="instance, reason"), "{{reason}}"), stack=True),
    ]),
    "mptcp": ("mptap: MPTCP", "Connections, subflows, joins, reassembly.", [
        graph("Open", "Connections and subflows that are followed now.", "none",
              (f"sum by (instance) (mptap_connections_open{{{I}}})", "{{instance}} connections"),
              (f"sum by (instance) (mptap_subflows_open{{{I}}})", "{{instance}} subflows")),
        graph("Begun", "Connections that both hosts took up as MPTCP, and subflows that joined one.", "cps",
              (rate("mptap_mptcp_started_total"), "{{instance}} connections"), (rate("mptap_subflows_joined_total"), "{{instance}} joins")),
        graph("Options", "Packets that bear each MPTCP option.", "pps",
              (rate("mptap_mptcp_options_total", by="instance, subtype"), "{{subtype}}")),
        graph("Joins by outcome", "Subflows of ended connections: whether the HMACs of their joins held.", "cps",
              (rate("mptap_joins_total", by="instance, outcome"), "{{instance}} {{outcome}}")),
        graph("Joins that wait", "For their connection, now; and tokens in the shared map.", "none",
              (f"sum by (instance) (mptap_joins_waiting{{{I}}})", "{{instance}} joins"), (f"sum by (instance) (mptap_tokens{{{I}}})", "{{instance}} tokens")),
        graph("Ended, by protocol", "Connections whose record was given out.", "cps",
              (rate("mptap_connections_ended_total", by="instance, protocol"), "{{instance}} {{protocol}}")),
        graph("Ended, by how", "DATA_FIN or FIN, fast close, reset, timeout, or open when mptapd ended.", "cps",
              (rate("mptap_connection_ends_total", by="instance, end"), "{{instance}} {{end}}")),
        graph("Fallback by reason", "Connections that became plain TCP although one host wanted MPTCP.", "cps",
              (rate("mptap_fallbacks_total", by="instance, reason"), "{{instance}} {{reason}}")),
        graph("Stream bytes", "Delivered bytes of connections that ended.", "Bps",
              (rate("mptap_stream_bytes_total", by="instance, direction"), "{{instance}} {{direction}}")),
        graph("Holes", "Acknowledged bytes that were not seen: on an untapped path, or lost by the tap.", "Bps",
              (rate("mptap_hole_bytes_total", by="instance, kind"), "{{instance}} {{kind}}")),
        graph("Copies", "Bytes that came more than once, and those whose copies differed.", "Bps",
              (rate("mptap_duplicate_bytes_total"), "{{instance}} again"), (rate("mptap_conflicting_bytes_total"), "{{instance}} differing")),
        graph("Memory of streams", "Bytes that wait for others, and delivered ones that rules may look back at.", "bytes",
              (f"sum by (instance) (mptap_held_bytes{{{I}}})", "{{instance}} waiting"),
              (f"sum by (instance) (mptap_history_bytes{{{I}}})", "{{instance}} history")),
    ]),
    "security": ("mptap: security", "What was found: rules, abuse, evasion.", [
        stat("Alerts", "In the time shown.", "none", (grown("mptap_alerts_total"), "{{instance}}"), thresholds=ANY_BAD, width=6),
        stat("Across subflows", "Of them: bytes that no single subflow carried.", "none",
             (grown("mptap_alerts_cross_subflow_total"), "{{instance}}"), thresholds=ANY_BAD, width=6),
        stat("Anomalies", "In the time shown, of all types.", "none", (grown("mptap_anomalies_total"), "{{instance}}"), width=6),
        stat("Rules", "Rules in force.", "none", (f"sum by (instance) (mptap_rules_loaded{{{I}}})", "{{instance}}"), thresholds=NONE_BAD, width=6),
        graph("Alerts", "By what became of the packets; suppressed ones are beyond a rule's threshold.", "cps",
              (rate("mptap_alerts_total", by="instance, action"), "{{instance}} {{action}}"),
              (rate("mptap_alerts_suppressed_total"), "{{instance}} suppressed")),
        graph("Abuse", "Thresholds of [detect] that were passed.", "cps",
              (rate("mptap_anomalies_total", 'type=~"fast_flux|join_storm|many_subflows|backup_shift|critical_network|visibility_low"',
                    by="instance, type"), "{{instance}} {{type}}")),
        graph("Evasion of reassembly", "Copies that differ, mappings that change, data outside of windows.", "cps",
              (rate("mptap_anomalies_total", 'type=~"stream_conflict|subflow_conflict|remapped_ssn|mapping_changed|dsn_out_of_window|'
                    'data_after_data_fin|data_fin_changed|duplicate_dss"', by="instance, type"), "{{instance}} {{type}}")),
        graph("Forgeries", "Joins, addresses and closes without the keys.", "cps",
              (rate("mptap_anomalies_total", 'type=~"join_bad_hmac|join_unknown_token|add_addr_bad_hmac|add_addr_forged_v0|'
                    'fastclose_wrong_key|token_collision"', by="instance, type"), "{{instance}} {{type}}")),
        graph("Insertion tricks of TCP", "Segments that the host drops and a naive IDS reads.", "cps",
              (rate("mptap_anomalies_total", 'type=~"tcp_.*"', by="instance, type"), "{{instance}} {{type}}")),
        graph("Unseen paths", "Holes by kind, as they are found.", "cps",
              (rate("mptap_anomalies_total", 'type=~"hole_.*|late_fill"', by="instance, type"), "{{instance}} {{type}}")),
    ]),
    "health": ("mptap: appliance health", "Process, ports, outputs, configuration.", [
        stat("Uptime", "Since mptapd was started.", "s", (f"time() - process_start_time_seconds{{job=\"mptap\", {I}}}", "{{instance}}"), width=6),
        stat("Configuration", "Age of the configuration and rules in force.", "s",
             (f"time() - mptap_config_loaded_timestamp_seconds{{{I}}}", "{{instance}}"), width=6),
        stat("Last reload", "1: it is in force; 0: it was refused, and the old rules stay.", "none",
             (f"min(mptap_reload_successful{{{I}}})", "good"), thresholds=NONE_BAD, width=6),
        stat("Rules left out", "Rules of the files that could not be used.", "none", (f"sum(mptap_rules_left_out{{{I}}})", "left out"),
             thresholds=ANY_BAD, width=6),
        graph("CPU", "Processor time of all threads; a worker that polls takes a whole core.", "none",
              (f"rate(process_cpu_seconds_total{{job=\"mptap\", {I}}}{RATE})", "{{instance}} cores")),
        graph("Memory", "Resident, without huge pages.", "bytes", (f"process_resident_memory_bytes{{job=\"mptap\", {I}}}", "{{instance}}")),
        graph("Heartbeats", "Turns of each worker's housekeeping a second; 0 is a worker that stands still.", "hertz",
              (rate("mptap_worker_heartbeats_total", by="instance, worker"), "{{instance}} worker {{worker}}")),
        graph("Ports", "1 while the link is up.", "none", (f"mptap_port_up{{{I}}}", "{{instance}} {{port}}"), thresholds=NONE_BAD),
        graph("Events", "Lines made, and events that a full queue refused.", "cps",
              (rate("mptap_events_written_total", by="instance, type"), "{{instance}} {{type}}"),
              (rate("mptap_events_dropped_total"), "{{instance}} dropped")),
        graph("Event queue", "Bytes of events that wait for the writer.", "bytes", (f"mptap_event_queue_bytes{{{I}}}", "{{instance}}")),
        graph("Outputs", "Lines that could not be written, by sink.", "cps",
              (rate("mptap_sink_lost_lines_total", by="instance, sink"), "{{instance}} {{sink}}"), thresholds=[(None, "green"), (1, "red")]),
        graph("Egress", "Frames given out as plain TCP, and lost there.", "pps",
              (rate("mptap_egress_written_total"), "{{instance}} given out"), (rate("mptap_egress_lost_total"), "{{instance}} lost")),
    ]),
}

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def steps(thresholds):
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in thresholds or [(None, "green")]]}


def make_panel(number, p, x, y):
    custom = {}
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value", "graphMode": "area",
               "justifyMode": "auto", "orientation": "auto", "textMode": "auto"}
    if p["kind"] == "timeseries":
        custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 20 if p["stack"] else 5, "showPoints": "never",
                  "stacking": {"mode": "normal" if p["stack"] else "none", "group": "A"},
                  "thresholdsStyle": {"mode": "line" if p["thresholds"] else "off"}}
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {
        "id": number, "type": p["kind"], "title": p["title"], "description": p["description"], "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": p["width"], "h": p["height"]},
        "fieldConfig": {"defaults": {"unit": p["unit"], "min": 0, "thresholds": steps(p["thresholds"]), "custom": custom}, "overrides": []},
        "options": options,
        "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True}
                    for i, (expr, legend) in enumerate(p["queries"])],
    }


def dashboard(name, title, description, panels):
    made, x, y, row = [], 0, 0, 0
    for number, p in enumerate(panels, 1):
        if x + p["width"] > 24:
            x, y, row = 0, y + row, 0
        made.append(make_panel(number, p, x, y))
        x, row = x + p["width"], max(row, p["height"])
    return {
        "uid": f"mptap-{name}", "title": title, "description": description, "tags": ["mptap"], "schemaVersion": 38, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "timezone": "", "time": {"from": "now-3h", "to": "now"},
        "links": [{"title": "mptap", "type": "dashboards", "tags": ["mptap"], "asDropdown": True, "includeVars": True, "keepTime": True,
                   "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}],
        "annotations": {"list": [{"name": "Reloads", "enable": True, "iconColor": "blue", "datasource": SOURCE,
                                  "expr": f"changes(mptap_config_loaded_timestamp_seconds{{{I}}}[2m]) > 0"}]},
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0, "skipUrlSync": False},
            {"name": "instance", "label": "Appliance", "type": "query", "datasource": SOURCE, "hide": 0, "skipUrlSync": False,
             "query": "label_values(mptap_build_info, instance)", "refresh": 2, "includeAll": True, "allValue": ".*", "multi": True,
             "current": {"text": "All", "value": "$__all"}}]},
        "panels": made,
    }


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    wrong = []
    for name, (title, description, panels) in DASHBOARDS.items():
        path = os.path.join(HERE, "dashboards", name + ".json")
        text = json.dumps(dashboard(name, title, description, panels), indent=1) + "\n"
        if check:
            with open(path, encoding="utf-8") as f:
                if f.read() != text:
                    wrong.append(f"{path} is not what make.py's table says: run deploy/grafana/make.py")
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
