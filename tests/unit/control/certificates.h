// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made by the openssl command in a folder.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace mptap::control {

class Certificates {
 public:
  explicit Certificates(std::string folder) : folder_(std::move(folder)) {
    authority("ca");
    issue("ca", "server", "server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  void authority(const std::string& name) const {
    run(fmt::format(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={0} -keyout {1}.key -out {1}.pem", name,
        path(name)));
  }
  // extension: of x509v3. days may be -1: expired yesterday.
  void issue(const std::string& by, const std::string& name, const std::string& common_name, const std::string& extension = "",
             int days = 2) const {
    run(fmt::format("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={} -keyout {}.key -out {}.csr",
                    common_name, path(name), path(name)));
    const std::string file = path(name + ".ext");
    shell(fmt::format("echo '{}' > {}", extension.empty() ? "basicConstraints=CA:FALSE" : extension, file));
    // openssl 3.0's x509 takes no start date; its ca does.
    const std::string when = days > 0 ? fmt::format("-days {}", days) : "-startdate 20200101000000Z -enddate 20200102000000Z";
    shell(fmt::format("mkdir -p {0}.db && : > {0}.db/index.txt && echo 01 > {0}.db/serial", path(name)));
    shell(fmt::format(
        "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase={0}.db/index.txt\\nserial={0}.db/serial\\nnew_certs_dir={0}.db\\n"
        "default_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n' > {0}.conf",
        path(name)));
    run(fmt::format("ca -batch -notext -config {0}.conf -cert {1}.pem -keyfile {1}.key -extfile {2} {3} -in {0}.csr -out {0}.pem",
                    path(name), path(by), file, when));
  }

 private:
  void shell(const std::string& command) const {
    if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
  }
  void run(const std::string& arguments) const {
    shell(fmt::format("openssl {} > {}/openssl.log 2>&1 || {{ cat {}/openssl.log >&2; false; }}", arguments, folder_, folder_));
  }
  const std::string folder_;
};

}  // namespace mptap::control
