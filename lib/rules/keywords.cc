// SPDX-License-Identifier: Apache-2.0
#include "rules/keywords.h"

namespace mptap::rules {

std::span<const std::string_view> unsupported_keywords() {
  static constexpr std::string_view kNames[] = {
      // payload and packets
      "absent", "base64_data", "base64_decode", "bsize", "byte_extract", "byte_jump", "byte_math", "byte_test",
      "compress_whitespace", "csum", "dataset", "datarep", "detection_filter", "dotprefix", "dsize", "entropy", "flow.age",
      "flow.bytes", "flow.bytes_toclient", "flow.bytes_toserver", "flow.pkts", "flow.pkts_toclient", "flow.pkts_toserver",
      "flowbits", "flowint", "from_base64", "geoip", "header_lowercase", "hostbits", "iprep", "isdataat", "lua", "luajit",
      "luaxform", "md5", "noalert", "pcrexform", "pkt_data", "prefilter", "replace", "requires", "rpc", "sha1", "sha256",
      "stream-event", "stream_size", "strip_pseudo_headers", "strip_whitespace", "tag", "to_lowercase", "to_md5", "to_sha1",
      "to_sha256", "to_uppercase", "uricontent", "url_decode", "urilen", "xbits", "xor", "within_packet", "zero_terminated",
      // headers
      "ack", "app-layer-event", "app-layer-protocol", "app-layer-state", "csum-ipv4", "decode-event", "ether.hdr", "flags",
      "fragbits", "fragoffset", "icmp_id", "icmp_seq", "icmpv4.hdr", "icmpv6.hdr", "icmpv6.mtu", "icode", "id", "igmp.hdr",
      "igmp.type", "ip_proto", "ipopts", "ipv4-csum", "ipv4.hdr", "ipv6.hdr", "itype", "nfq_set_mark", "sameip", "seq", "tcp-pkt",
      "tcp.ack", "tcp.flags", "tcp.hdr", "tcp.mss", "tcp.seq", "tcp.window", "tcpv4-csum", "tcpv6-csum", "tos", "ttl", "udp.hdr",
      "vlan.id", "vlan.layers", "window", "bypass", "engine-event",
      // files
      "file.data", "file.magic", "file.name", "file_data", "fileext", "filemagic", "filemd5", "filename", "filesha1",
      "filesha256", "filesize", "filestore",
      // HTTP
      "http.accept", "http.accept_enc", "http.accept_lang", "http.connection", "http.content_len", "http.content_type",
      "http.cookie", "http.header", "http.header.raw", "http.header_names", "http.host", "http.host.raw", "http.location",
      "http.method", "http.protocol", "http.referer", "http.request_body", "http.request_header", "http.request_line",
      "http.response_body", "http.response_header", "http.response_line", "http.server", "http.start", "http.stat_code",
      "http.stat_msg", "http.uri", "http.uri.raw", "http.user_agent", "http_accept", "http_accept_enc", "http_accept_lang",
      "http_client_body", "http_connection", "http_content_len", "http_content_type", "http_cookie", "http_header",
      "http_header_names", "http_host", "http_method", "http_protocol", "http_raw_header", "http_raw_host", "http_raw_uri",
      "http_referer", "http_request_line", "http_response_line", "http_server_body", "http_start", "http_stat_code",
      "http_stat_msg", "http_uri", "http_user_agent", "http2.errorcode", "http2.frametype", "http2.header", "http2.header_name",
      "http2.priority", "http2.settings", "http2.size_update", "http2.window",
      // TLS, SSH, JA3
      "ja3.hash", "ja3.string", "ja3_hash", "ja3_string", "ja3s.hash", "ja3s.string", "ja4.hash", "ssh.hassh", "ssh.hassh.server",
      "ssh.hassh.server.string", "ssh.hassh.string", "ssh.proto", "ssh.protoversion", "ssh.software", "ssh.softwareversion",
      "ssh_proto", "ssh_software", "ssl_state", "ssl_version", "tls.alpn", "tls.cert_chain_len", "tls.cert_fingerprint",
      "tls.cert_issuer", "tls.cert_serial", "tls.cert_subject", "tls.certs", "tls.fingerprint", "tls.issuerdn", "tls.random",
      "tls.random_bytes", "tls.random_time", "tls.sni", "tls.store", "tls.subject", "tls.subjectaltname", "tls.version",
      "tls_cert_expired", "tls_cert_fingerprint", "tls_cert_issuer", "tls_cert_notafter", "tls_cert_notbefore", "tls_cert_serial",
      "tls_cert_subject", "tls_cert_valid", "tls_sni",
      // other protocols
      "cip_service", "dce_iface", "dce_opnum", "dce_stub_data", "dcerpc.iface", "dcerpc.opnum", "dcerpc.stub_data",
      "dhcp.leasetime", "dhcp.rebinding_time", "dhcp.renewal_time", "dnp3.data", "dnp3.func", "dnp3.ind", "dnp3.obj", "dnp3_data",
      "dnp3_func", "dnp3_ind", "dnp3_obj", "dns.answer.name", "dns.opcode", "dns.query", "dns.query.name", "dns.rcode",
      "dns.rrtype", "dns_query", "enip_command", "frame", "ftp.command", "ftp.command_data", "ftp.completion_code", "ftp.reply",
      "ftpbounce", "ftpdata_command", "ike.chosen_sa_attribute", "ike.exchtype", "ike.init_spi", "ike.resp_spi", "ike.vendor",
      "kerberos.sname", "krb5.cname", "krb5.sname", "krb5.ticket_encryption", "krb5_err_code", "krb5_msg_type", "modbus",
      "mqtt.connack.return_code", "mqtt.connect.clientid", "mqtt.connect.password", "mqtt.connect.username",
      "mqtt.publish.message", "mqtt.publish.topic", "mqtt.type", "nfs.version", "nfs_procedure", "quic.cyu.hash",
      "quic.cyu.string", "quic.sni", "quic.ua", "quic.version", "rfb.name", "rfb.sectype", "rfb.secresult", "rdp.cookie",
      "sip.content_length", "sip.content_type", "sip.from", "sip.method", "sip.protocol", "sip.request_line", "sip.response_line",
      "sip.stat_code", "sip.stat_msg", "sip.to", "sip.ua", "sip.uri", "sip.via", "smb.named_pipe", "smb.ntlmssp_domain",
      "smb.ntlmssp_user", "smb.share", "smb.version", "smb_named_pipe", "smb_share", "smtp.helo", "smtp.mail_from",
      "smtp.rcpt_to", "snmp.community", "snmp.pdu_type", "snmp.usm", "snmp.version", "template.rust.buffer", "websocket.opcode",
      "websocket.payload"};
  return kNames;
}

}  // namespace mptap::rules
