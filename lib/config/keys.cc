// SPDX-License-Identifier: Apache-2.0
#include "config/keys.h"

namespace mptap::config {
namespace {

// Makes a captureless lambda the alternative of Field that fits what it returns.
template <typename T>
Field at(T& (*field)(Config&)) {
  return field;
}

constexpr uint64_t kMany = 1ull << 32, kDay = 86400;

const Section kSections[] = {
    {"", ""},
    {"workers", "Cores and memory. Changes need a restart."},
    {"receive", "What the ports are set to. Changes need a restart."},
    {"inspect", "What is looked at, and how."},
    {"limits", "Bounds. What is beyond one is refused or dropped by the policy named here, counted, and told in an event."},
    {"timeouts", "All on packet time, but for drain_ms and old_rules_s."},
    {"handoff", "Rings between workers. Changes need a restart."},
    {"rules", "What is searched for. Read again on SIGHUP."},
    {"rules.vars", "Address and port variables of the rules. $EXTERNAL_NET and the like may be given here, too."},
    {"detect",
     "Abuse of MPTCP: each finding is an anomaly event of its own. Thresholds of 0 switch off. Changes need a restart; mptap "
     "read "
     "takes them with --config."},
    {"events", "Where events go, as lines of EVE JSON. On SIGHUP the file is opened anew, for logrotate."},
    {"egress", "Each MPTCP connection as one plain TCP connection, for tools that know TCP only. Changes need a restart."},
    {"control", "The gRPC service."},
    {"control.roles",
     "Who may do what: viewer looks, operator acts on connections, admin changes rules and reloads. Who is not named may "
     "nothing; of several entries the highest counts."},
    {"metrics", "Prometheus' listener."},
    {"process", "The daemon itself."},
};

const Key kKeys[] = {
    {"", "mode", at<std::string>([](Config& c) -> auto& { return c.mode; }), "", 0, 0, "tap inline",
     "tap: packets in, nothing forwarded. inline: two ports, each packet forwarded to the other."},
    {"", "ports", at<std::vector<std::string>>([](Config& c) -> auto& { return c.ports; }), "", 0, 0, "",
     "Ports to receive from: PCI addresses (\"0000:03:00.0\"), DPDK's virtual devices (\"net_af_packet0,iface=eth1\") or plain "
     "interfaces (\"eth1\", taken with net_af_packet). At least one."},
    {"", "inject_port", at<std::string>([](Config& c) -> auto& { return c.inject_port; }), "", 0, 0, "",
     "Port that actions are sent from on a tap, in the forms of ports. Empty: nothing is ever sent."},

    {"workers", "count", at<uint64_t>([](Config& c) -> auto& { return c.workers.count; }), "workers", 1, 64, "",
     "Workers, one poll loop each, on the first CPUs that the process may use. Not read where cpus is given."},
    {"workers", "cpus", at<std::vector<uint64_t>>([](Config& c) -> auto& { return c.workers.cpus; }), "CPU numbers", 0, 1023, "",
     "One worker on each of these CPUs. Take cores of the ports' NUMA node, isolated from the scheduler."},
    {"workers", "huge_pages", at<bool>([](Config& c) -> auto& { return c.workers.huge_pages; }), "", 0, 0, "",
     "Memory from huge pages, without files in hugetlbfs. Without them PCI devices need an IOMMU, and all is slower."},
    {"workers", "memory_mb", at<uint64_t>([](Config& c) -> auto& { return c.workers.memory_mb; }), "MiB", 64, 1048576, "",
     "DPDK's memory: receive buffers, rings and tables. Streams and scanners are beside it."},
    {"workers", "watchdog_ms", at<uint64_t>([](Config& c) -> auto& { return c.workers.watchdog_ms; }), "ms", 100, 60000, "",
     "A worker whose loop stands still for so long is reported, and the service manager's watchdog is no longer fed."},

    {"receive", "descriptors", at<uint64_t>([](Config& c) -> auto& { return c.receive.descriptors; }), "descriptors", 64, 32768,
     "", "Of each queue; the device may round them."},
    {"receive", "held_buffers", at<uint64_t>([](Config& c) -> auto& { return c.receive.held_buffers; }), "buffers", 1024, 4194304,
     "", "Receive buffers of each port beyond its descriptors: what workers and rings may hold at once."},
    {"receive", "mtu", at<uint64_t>([](Config& c) -> auto& { return c.receive.mtu; }), "bytes", 576, 16000, "",
     "Largest IP packet that a PCI device is told to receive, if it can. Virtual devices keep their own."},
    {"receive", "promiscuous", at<bool>([](Config& c) -> auto& { return c.receive.promiscuous; }), "", 0, 0, "",
     "Receive what is addressed to others. A tap needs it."},

    {"inspect", "tcp", at<bool>([](Config& c) -> auto& { return c.inspect.tcp; }), "", 0, 0, "",
     "Search plain TCP connections, too, and those that fell back to TCP at the start."},
    {"inspect", "policy", at<std::string>([](Config& c) -> auto& { return c.inspect.policy; }), "", 0, 0, "linux first bsd last",
     "Which copy counts where two copies of a byte differ: what the receiving hosts do. linux is measured, bsd read from its "
     "source; first and "
     "last "
     "are literal. Every difference is an event."},
    {"inspect", "candidates", at<bool>([](Config& c) -> auto& { return c.inspect.candidates; }), "", 0, 0, "",
     "Also search the copy that did not count; such an alert is marked \"candidate\"."},
    {"inspect", "payload_bytes", at<uint64_t>([](Config& c) -> auto& { return c.inspect.payload_bytes; }), "bytes", 0, 16384, "",
     "Stream bytes around a match that an alert shows. 0: none."},
    {"inspect", "verify_checksums", at<bool>([](Config& c) -> auto& { return c.inspect.verify_checksums; }), "", 0, 0, "",
     "Leave out packets whose TCP checksum is wrong. Switch off where the tapped hosts leave checksums to their NICs."},
    {"inspect", "gre", at<bool>([](Config& c) -> auto& { return c.inspect.gre; }), "", 0, 0, "", "Look into GRE."},
    {"inspect", "erspan", at<bool>([](Config& c) -> auto& { return c.inspect.erspan; }), "", 0, 0, "",
     "Look into ERSPAN, types II and III."},
    {"inspect", "vxlan", at<bool>([](Config& c) -> auto& { return c.inspect.vxlan; }), "", 0, 0, "", "Look into VXLAN."},
    {"inspect", "geneve", at<bool>([](Config& c) -> auto& { return c.inspect.geneve; }), "", 0, 0, "", "Look into Geneve."},
    {"inspect", "ip_in_ip", at<bool>([](Config& c) -> auto& { return c.inspect.ip_in_ip; }), "", 0, 0, "",
     "Look into IP in IP, both families."},
    {"inspect", "vxlan_port", at<uint64_t>([](Config& c) -> auto& { return c.inspect.vxlan_port; }), "UDP port", 1, 65535, "",
     "VXLAN's port."},
    {"inspect", "geneve_port", at<uint64_t>([](Config& c) -> auto& { return c.inspect.geneve_port; }), "UDP port", 1, 65535, "",
     "Geneve's port."},
    {"inspect", "tunnel_depth", at<uint64_t>([](Config& c) -> auto& { return c.inspect.tunnel_depth; }), "layers", 0, 16, "",
     "Encapsulations taken off one packet; one with more is dropped."},

    {"limits", "connections", at<uint64_t>([](Config& c) -> auto& { return c.limits.connections; }), "connections", 16, kMany, "",
     "Of each worker. Beyond, the oldest half-open one makes room; where none is, a new one is not followed (connection_limit)."},
    {"limits", "subflows", at<uint64_t>([](Config& c) -> auto& { return c.limits.subflows; }), "subflows", 16, kMany, "",
     "Of each worker, plain TCP connections included. Beyond, the oldest half-open connection makes room; where none is, a new "
     "one is "
     "not followed (subflow_limit)."},
    {"limits", "subflows_per_connection", at<uint64_t>([](Config& c) -> auto& { return c.limits.subflows_per_connection; }),
     "subflows", 1, 4096, "",
     "A join beyond is no part of the connection (subflow_limit); its bytes are searched as a plain TCP connection's."},
    {"limits", "tokens", at<uint64_t>([](Config& c) -> auto& { return c.limits.tokens; }), "tokens", 16, kMany, "",
     "Entries of the table of tokens that all workers share, two for each MPTCP connection. Beyond, joins of new connections are "
     "not "
     "associated."},
    {"limits", "parked_joins", at<uint64_t>([](Config& c) -> auto& { return c.limits.parked_joins; }), "joins", 1, kMany, "",
     "Of each worker: joins that wait for their connection to become known, and as many whose token several connections bear. "
     "Beyond, the oldest gives up (parked_limit)."},
    {"limits", "parked_bytes", at<uint64_t>([](Config& c) -> auto& { return c.limits.parked_bytes; }), "bytes", 65536, kMany, "",
     "Of each worker: packets of these joins."},
    {"limits", "foreign_subflows", at<uint64_t>([](Config& c) -> auto& { return c.limits.foreign_subflows; }), "subflows", 16,
     kMany, "",
     "Of each worker: subflows of other workers' connections. Beyond, a join is not handed over; it is a connection of its own."},
    {"limits", "fragments", at<uint64_t>([](Config& c) -> auto& { return c.limits.fragments; }), "datagrams", 16, 1048576, "",
     "Of each worker: fragmented datagrams that wait for the rest. Beyond, the oldest is dropped."},
    {"limits", "stream_bytes", at<uint64_t>([](Config& c) -> auto& { return c.limits.stream_bytes; }), "bytes", 65536, kMany, "",
     "Held ahead of a hole, for one direction of one connection. Beyond, new bytes are dropped and become a hole."},
    {"limits", "connection_bytes", at<uint64_t>([](Config& c) -> auto& { return c.limits.connection_bytes; }), "bytes", 65536,
     kMany, "", "The same for all of a connection, its subflows included."},
    {"limits", "worker_bytes", at<uint64_t>([](Config& c) -> auto& { return c.limits.worker_bytes; }), "bytes", 1 << 20,
     1ull << 42, "", "The same for all connections of a worker."},
    {"limits", "emergency_percent", at<uint64_t>([](Config& c) -> auto& { return c.limits.emergency_percent; }), "%", 10, 100, "",
     "From this share of a limit on, the emergency timeouts hold until it is a tenth below."},

    {"timeouts", "half_open_s", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.half_open_s; }), "s", 1, kDay, "",
     "For a handshake to be complete."},
    {"timeouts", "idle_s", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.idle_s; }), "s", 1, 30 * kDay, "",
     "Without a packet, after which a connection is forgotten and its record written."},
    {"timeouts", "closed_s", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.closed_s; }), "s", 0, 3600, "",
     "For late packets of a connection that has ended."},
    {"timeouts", "parked_join_ms", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.parked_join_ms; }), "ms", 10, 600000,
     "", "For a join's connection to become known; then the joins of that token are a connection of their own."},
    {"timeouts", "fragment_s", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.fragment_s; }), "s", 1, 120, "",
     "For the rest of a fragmented datagram."},
    {"timeouts", "emergency_half_open_s", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.emergency_half_open_s; }), "s",
     1, kDay, "", "half_open_s while a limit is near."},
    {"timeouts", "emergency_idle_s", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.emergency_idle_s; }), "s", 1,
     30 * kDay, "", "idle_s while a limit is near."},
    {"timeouts", "hole_grace_ms", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.hole_grace_ms; }), "ms", 0, 600000, "",
     "From the DATA_ACK that passes missing bytes to the stream's going on without them: time for another port or worker to "
     "bring them."},
    {"timeouts", "loss_grace_ms", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.loss_grace_ms; }), "ms", 0, 600000, "",
     "The same inside one subflow, from the TCP ACK."},
    {"timeouts", "old_rules_s", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.old_rules_s; }), "s", 0, kDay, "",
     "How long streams that run when rules are loaded anew keep the old ones."},
    {"timeouts", "drain_ms", at<uint64_t>([](Config& c) -> auto& { return c.timeouts.drain_ms; }), "ms", 0, 60000, "",
     "At the end: for the workers to empty their rings and write the records of open connections."},

    {"handoff", "segments", at<uint64_t>([](Config& c) -> auto& { return c.handoff.segments; }), "entries", 64, 1048576, "",
     "Of each ring from one worker to another, for what belongs to a connection of the other. Rounded up to a power of two. "
     "Full: "
     "dropped, counted, a hole."},
    {"handoff", "packets", at<uint64_t>([](Config& c) -> auto& { return c.handoff.packets; }), "entries", 64, 1048576, "",
     "Of each ring for packets that another worker must parse: out of tunnels, fragments, ports without RSS."},

    {"rules", "files", at<std::vector<std::string>>([](Config& c) -> auto& { return c.rules.files; }), "", 0, 0, "",
     "Rule files in Suricata's language. A relative path begins at this file's folder."},
    {"rules", "classification", at<std::string>([](Config& c) -> auto& { return c.rules.classification; }), "", 0, 0, "",
     "classification.config for the rules' classtype. Empty: the usual ones are built in."},
    {"rules", "managed", at<std::string>([](Config& c) -> auto& { return c.rules.managed; }), "", 0, 0, "",
     "File of the rules that are made over the control plane, besides files; the daemon writes it. Empty: none can be made."},
    {"rules.vars", "*", at<std::map<std::string, std::string>>([](Config& c) -> auto& { return c.rules.vars; }), "", 0, 0, "",
     "NAME = \"value\" as in suricata.yaml: HOME_NET = \"[10.0.0.0/8,192.168.0.0/16]\", HTTP_PORTS = \"[80,8080]\"."},

    {"detect", "critical_networks", at<std::vector<std::string>>([](Config& c) -> auto& { return c.detect.critical_networks; }),
     "", 0, 0, "",
     "Networks on which any MPTCP is an alert and a critical_network event: \"10.20.0.0/16 = plant floor\"; the name may be left "
     "out."},
    {"detect", "join_window_s", at<uint64_t>([](Config& c) -> auto& { return c.detect.join_window_s; }), "s", 1, 3600, "",
     "Time over which joins are counted, each MP_JOIN whether it is accepted or not."},
    {"detect", "joins_per_connection", at<uint64_t>([](Config& c) -> auto& { return c.detect.joins_per_connection; }), "joins", 0,
     kMany, "", "More within join_window_s in one connection are a join_storm."},
    {"detect", "joins_per_source", at<uint64_t>([](Config& c) -> auto& { return c.detect.joins_per_source; }), "joins", 0, kMany,
     "", "The same from one address, over all connections of a worker."},
    {"detect", "joins_per_network", at<uint64_t>([](Config& c) -> auto& { return c.detect.joins_per_network; }), "joins", 0,
     kMany, "", "The same from one network, a /24 of IPv4 or a /48 of IPv6."},
    {"detect", "joins_per_target", at<uint64_t>([](Config& c) -> auto& { return c.detect.joins_per_target; }), "joins", 0, kMany,
     "", "The same to one address. Busy servers get many."},
    {"detect", "join_table", at<uint64_t>([](Config& c) -> auto& { return c.detect.join_table; }), "entries", 16, 1 << 24, "",
     "Of each worker: addresses and networks whose joins are counted at once. Beyond, the one that was silent longest gives "
     "way."},
    {"detect", "flux_window_s", at<uint64_t>([](Config& c) -> auto& { return c.detect.flux_window_s; }), "s", 1, 3600, "",
     "Time over which addresses and networks are counted."},
    {"detect", "flux_addresses", at<uint64_t>([](Config& c) -> auto& { return c.detect.flux_addresses; }), "changes", 0, kMany,
     "", "More addresses added or removed (ADD_ADDR, REMOVE_ADDR) within flux_window_s in one connection are fast_flux."},
    {"detect", "flux_networks", at<uint64_t>([](Config& c) -> auto& { return c.detect.flux_networks; }), "networks", 0, kMany, "",
     "More networks that joins bring into one connection within flux_window_s are fast_flux, too."},
    {"detect", "subflows", at<uint64_t>([](Config& c) -> auto& { return c.detect.subflows; }), "subflows", 0, 4096, "",
     "More open at once in one connection are many_subflows. Linux opens at most 8 beside the first."},
    {"detect", "backup_percent", at<uint64_t>([](Config& c) -> auto& { return c.detect.backup_percent; }), "%", 0, 100, "",
     "From this share of the bytes on, backup subflows that carry them while others are open are a backup_shift."},
    {"detect", "backup_bytes", at<uint64_t>([](Config& c) -> auto& { return c.detect.backup_bytes; }), "bytes", 1, kMany, "",
     "So many bytes of a connection are judged together."},
    {"detect", "visibility_percent", at<uint64_t>([](Config& c) -> auto& { return c.detect.visibility_percent; }), "%", 0, 100,
     "",
     "A smaller share of the acknowledged bytes that was seen is visibility_low: another path carries the rest, or the tap loses "
     "packets."},
    {"detect", "visibility_bytes", at<uint64_t>([](Config& c) -> auto& { return c.detect.visibility_bytes; }), "bytes", 1, kMany,
     "", "So many acknowledged bytes before it is judged; at a connection's end it always is."},

    {"events", "file", at<std::string>([](Config& c) -> auto& { return c.events.file; }), "", 0, 0, "",
     "File to append to. Empty: none."},
    {"events", "stdout", at<bool>([](Config& c) -> auto& { return c.events.stdout_; }), "", 0, 0, "", "Standard output."},
    {"events", "unix_socket", at<std::string>([](Config& c) -> auto& { return c.events.unix_socket; }), "", 0, 0, "",
     "Unix stream socket of a listener to connect to. Empty: none."},
    {"events", "syslog", at<bool>([](Config& c) -> auto& { return c.events.syslog; }), "", 0, 0, "", "The system's log."},
    {"events", "syslog_facility", at<std::string>([](Config& c) -> auto& { return c.events.syslog_facility; }), "", 0, 0,
     "auth authpriv daemon user local0 local1 local2 local3 local4 local5 local6 local7", "Its facility."},
    {"events", "queue", at<uint64_t>([](Config& c) -> auto& { return c.events.queue; }), "events", 256, 16777216, "",
     "Between the workers and the writer. Full: events are dropped and counted; inspection goes on."},
    {"events", "anomalies", at<bool>([](Config& c) -> auto& { return c.events.anomalies; }), "", 0, 0, "",
     "Write anomaly events."},
    {"events", "flows", at<bool>([](Config& c) -> auto& { return c.events.flows; }), "", 0, 0, "",
     "Write the record of each connection at its end."},
    {"events", "stats_s", at<uint64_t>([](Config& c) -> auto& { return c.events.stats_s; }), "s", 0, kDay, "",
     "Between two stats events. 0: none."},

    {"egress", "port", at<std::string>([](Config& c) -> auto& { return c.egress.port; }), "", 0, 0, "",
     "Port to send them from, in the forms of ports: a second NIC, \"net_af_packet9,iface=veth1\", \"net_tap0,iface=mptap0\". "
     "Not "
     "one of ports. Empty: none."},
    {"egress", "directory", at<std::string>([](Config& c) -> auto& { return c.egress.directory; }), "", 0, 0, "",
     "Or a folder for pcap files, which take turns. Empty: none."},
    {"egress", "pass", at<std::string>([](Config& c) -> auto& { return c.egress.pass; }), "", 0, 0, "mptcp_only all",
     "all: plain TCP and everything else goes out, too, unchanged, so that a sensor behind sees the whole link, each byte once."},
    {"egress", "fill", at<bool>([](Config& c) -> auto& { return c.egress.fill; }), "", 0, 0, "",
     "Fill bytes that were not seen with fill_byte. Without it they are missing in the TCP connection, too, and the tool behind "
     "reports the gap itself."},
    {"egress", "fill_byte", at<uint64_t>([](Config& c) -> auto& { return c.egress.fill_byte; }), "byte value", 0, 255, "",
     "See fill."},
    {"egress", "queue_bytes", at<uint64_t>([](Config& c) -> auto& { return c.egress.queue_bytes; }), "bytes", 1 << 20, 1ull << 36,
     "",
     "Of each worker's queue to the writer, rounded up to a power of two. From three quarters on no new connection is given out; "
     "one whose frame does not fit is given up. Both are counted; the inspection never waits."},
    {"egress", "file_bytes", at<uint64_t>([](Config& c) -> auto& { return c.egress.file_bytes; }), "bytes", 1 << 16, 1ull << 42,
     "", "A file in directory ends before it is larger."},
    {"egress", "file_s", at<uint64_t>([](Config& c) -> auto& { return c.egress.file_s; }), "s", 0, 30 * kDay, "",
     "And after so long, on packet time. 0: by size alone."},
    {"egress", "files", at<uint64_t>([](Config& c) -> auto& { return c.egress.files; }), "files", 2, 1000000, "",
     "Kept in directory, those of earlier runs included; the oldest go."},

    {"control", "address", at<std::string>([](Config& c) -> auto& { return c.control.address; }), "", 0, 0, "",
     "\"unix:PATH\", or HOST:PORT, which demands mutual TLS. Empty: no service."},
    {"control", "group", at<std::string>([](Config& c) -> auto& { return c.control.group; }), "", 0, 0, "",
     "Group that may use the Unix socket."},
    {"control", "certificate", at<std::string>([](Config& c) -> auto& { return c.control.certificate; }), "", 0, 0, "",
     "The server's certificate chain, PEM."},
    {"control", "key", at<std::string>([](Config& c) -> auto& { return c.control.key; }), "", 0, 0, "", "Its private key, PEM."},
    {"control", "client_ca", at<std::string>([](Config& c) -> auto& { return c.control.client_ca; }), "", 0, 0, "",
     "Authorities whose certificates clients must have, PEM."},
    {"control", "audit_log", at<std::string>([](Config& c) -> auto& { return c.control.audit_log; }), "", 0, 0, "",
     "File that each mutating and each denied call is appended to."},

    {"control.roles", "*", at<std::map<std::string, std::string>>([](Config& c) -> auto& { return c.control.roles; }), "", 0, 0,
     "",
     "\"user:NAME\", \"uid:N\", \"group:NAME\", \"gid:N\" of a peer of the Unix socket; \"cn:TEXT\", \"dns:TEXT\", \"uri:TEXT\", "
     "\"email:TEXT\", \"ip:TEXT\" of a client's certificate; \"*\" for everybody who comes so far. Each is none, viewer, "
     "operator or "
     "admin. What is given adds to these."},

    {"metrics", "address", at<std::string>([](Config& c) -> auto& { return c.metrics.address; }), "", 0, 0, "",
     "HOST:PORT of GET /metrics, without authentication: keep it on the loopback or a management network. Empty: none."},

    {"process", "user", at<std::string>([](Config& c) -> auto& { return c.process.user; }), "", 0, 0, "",
     "User to become once ports and sockets are open. Empty: stay, but without capabilities."},
    {"process", "log_level", at<std::string>([](Config& c) -> auto& { return c.process.log_level; }), "", 0, 0,
     "error warn info debug", "Of the daemon's own messages on standard error."},
};

}  // namespace

std::span<const Section> sections() {
  return kSections;
}
std::span<const Key> keys() {
  return kKeys;
}

}  // namespace mptap::config
