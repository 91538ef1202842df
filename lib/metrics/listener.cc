// SPDX-License-Identifier: Apache-2.0
#include "metrics/listener.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>

#include <fmt/format.h>
#include <netdb.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mptap::metrics {

class Listener::Collector final : public prometheus::Collectable {
 public:
  explicit Collector(Fill fill) : fill_(std::move(fill)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    const std::lock_guard lock(one_);
    Page page;
    fill_(page);
    return page.take();
  }

 private:
  mutable std::mutex one_;
  const Fill fill_;
};

namespace {

using Text = tl::expected<std::string, std::string>;

// The web server takes numbers only and says of nothing why it failed: names are looked up here, and the place is tried.
Text numeric(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return tl::unexpected(fmt::format("\"{}\"; it must be HOST:PORT", address));
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found); error != 0)
    return tl::unexpected(fmt::format("{}: {}", address, gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  const int tried = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(tried, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const int error = tried < 0 || bind(tried, found->ai_addr, found->ai_addrlen) != 0 || listen(tried, 1) != 0 ? errno : 0;
  if (tried >= 0) close(tried);
  if (error != 0) return tl::unexpected(fmt::format("{}: {}", address, std::strerror(error)));
  char digits[NI_MAXHOST], port[NI_MAXSERV];
  getnameinfo(found->ai_addr, found->ai_addrlen, digits, sizeof digits, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return found->ai_family == AF_INET6 ? fmt::format("[{}]:{}", digits, port) : fmt::format("{}:{}", digits, port);
}

}  // namespace

Listener::Listener(std::unique_ptr<prometheus::Exposer> exposer, std::shared_ptr<Collector> collector)
    : collector_(std::move(collector)), exposer_(std::move(exposer)) {}

Listener::~Listener() = default;

tl::expected<std::unique_ptr<Listener>, std::string> Listener::open(const std::string& address, Fill fill) {
  const Text place = numeric(address);
  if (!place) return tl::unexpected(place.error());
  auto collector = std::make_shared<Collector>(std::move(fill));
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(*place, 2);
    exposer->RegisterCollectable(collector);
    return std::unique_ptr<Listener>(new Listener(std::move(exposer), std::move(collector)));
  } catch (const std::exception& error) {
    return tl::unexpected(fmt::format("{}: {}", address, error.what()));
  }
}

int Listener::port() const {
  const auto ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace mptap::metrics
