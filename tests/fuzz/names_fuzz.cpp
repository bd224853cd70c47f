// Questions to the responder of names, from any program in a container, and what other servers answer.
//   first byte: who asks; the rest: the bytes of the question, or of the answer

#include <string>

#include "net/names/name_table.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace prunella;
using namespace prunella::net;
using prunella::fuzz::require;

namespace {

name_table a_table() {
  name_table table;
  table.tenants["default"]["shop"]["web"] = {0x0A540601, {{"http", config::port_protocol::tcp, 8080}}};
  table.tenants["acme"]["shop"]["web"] = {0x0A540602, {{"http", config::port_protocol::tcp, 80}, {"dns", config::port_protocol::udp, 53}}};
  table.tenants["acme"]["empty"] = {};
  table.tenant_of[1] = "acme";
  return table;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto table = a_table();
  if (size == 0)
    return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto query = parse_dns_query(bytes);
  if (!query)
    return 0;
  require(query->question.size() <= bytes.size(), "a question is a part of what was sent");
  require(query->udp_bytes >= least_udp_bytes && query->udp_bytes <= most_udp_bytes, "sizes stay within their bounds");
  auto answer = answer_by(table, *query, data[0]);
  if (!answer) {
    answer.emplace();
    answer->code = dns_code::failed;
  }
  for (const auto limit : {query->udp_bytes, std::size_t{65'535}}) {
    const auto reply = encode_dns_answer(*query, *answer, limit);
    require(reply.size() <= limit || query->question.size() > 255, "an answer fits");
    require(!parse_dns_query(reply), "an answer is no question: two servers never talk to each other for ever");
    if (!query->question.empty())
      require(is_answer_to(reply, bytes), "an answer is known as one to its question");
  }
  return 0;
}
