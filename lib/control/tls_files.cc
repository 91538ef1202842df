// SPDX-License-Identifier: Apache-2.0
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "control/server.h"

namespace mptap::control {
namespace {

struct Closer {
  void operator()(FILE* f) const { fclose(f); }
  void operator()(X509* x) const { X509_free(x); }
  void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
};

template <typename T>
tl::expected<std::unique_ptr<T, Closer>, std::string> read(const char* key, const std::string& path, const char* what,
                                                           T* (*parse)(FILE*, T**, pem_password_cb*, void*)) {
  const std::unique_ptr<FILE, Closer> file(fopen(path.c_str(), "re"));
  if (!file) return tl::unexpected(fmt::format("{}: {}: {}", key, path, std::strerror(errno)));
  // An empty password, rather than one asked for on the terminal.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  std::unique_ptr<T, Closer> value(parse(file.get(), nullptr, no_password, nullptr));
  if (!value) return tl::unexpected(fmt::format("{}: {} has no {} in PEM form", key, path, what));
  return value;
}

}  // namespace

tl::expected<void, std::string> check_tls_files(const std::string& certificate, const std::string& key,
                                                const std::string& client_ca) {
  const auto leaf = read<X509>("control.certificate", certificate, "certificate", PEM_read_X509);
  if (!leaf) return tl::unexpected(leaf.error());
  const auto secret = read<EVP_PKEY>("control.key", key, "private key without a password", PEM_read_PrivateKey);
  if (!secret) return tl::unexpected(secret.error());
  if (X509_check_private_key(leaf->get(), secret->get()) != 1)
    return tl::unexpected(fmt::format("control.key: {} is not the key of {}", key, certificate));
  const auto authority = read<X509>("control.client_ca", client_ca, "certificate", PEM_read_X509);
  if (!authority) return tl::unexpected(authority.error());
  return {};
}

}  // namespace mptap::control
