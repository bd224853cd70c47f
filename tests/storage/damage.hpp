#pragma once

// Ways to harm a stored file, from the outside as a disk or a person would.

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sqlite3.h>
#include <string>

#include "storage/checksum.hpp"

namespace prunella::tests {

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(out.good());
}

inline std::string flipped(std::string bytes, std::size_t bit) {
  bytes[bit / 8] = static_cast<char>(static_cast<unsigned char>(bytes[bit / 8]) ^ (1u << (bit % 8)));
  return bytes;
}

/// Copies a database with its companions: what a kill, or with an older mark a power cut, leaves behind.
inline void copy_database(const std::string& from, const std::string& to) {
  for (const auto* suffix : {"", "-wal", ".mark"}) {
    std::filesystem::remove(to + suffix);
    if (std::filesystem::exists(from + suffix))
      std::filesystem::copy_file(from + suffix, to + suffix);
  }
}

/// Runs SQL on a closed database file, with whatever journal it has.
inline void run_sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  char* message = nullptr;
  const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message);
  const std::string error = message == nullptr ? "" : message;
  sqlite3_free(message);
  sqlite3_close(db);
  CAPTURE(sql);
  CAPTURE(error);
  REQUIRE(code == SQLITE_OK);
}

inline std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr const char* digits = "0123456789abcdef";
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

/// Sets a meta row with a checksum that fits, as a program of another version would.
inline void set_meta(const std::string& path, const std::string& key, const std::string& value) {
  const auto sum = storage::checksum_builder().begin().add(key).add(value).finish();
  run_sql(path, "UPDATE meta SET value=x'" + hex(value) + "', sum=x'" + hex(storage::as_bytes(sum)) + "' WHERE key='" +
                    key + "'");
}

} // namespace prunella::tests
