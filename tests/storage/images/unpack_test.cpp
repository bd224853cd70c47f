// Layers on a real disk. Owners, whiteouts and attributes need root: without it these tests say that they are skipped.

#include "storage/images/unpack.hpp"

#include <filesystem>
#include <set>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "storage/images/blob_store.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/images/image_builder.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/small_disk.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

bool is_root() {
  if (::geteuid() == 0)
    return true;
  MESSAGE("SKIPPED: unpacking needs root, as files get their owners in it");
  return false;
}

/// Unpacks tars on top of each other into `layer-1`, `layer-2`, … of a temporary folder.
class unpacking {
public:
  storage::result<storage::unpacked_layer> layer(const std::string& tar, packing how = packing::gzip,
                                                 const storage::unpack_limits& limits = {}) {
    return stored(packed(tar, how), storage::digest_of(tar), limits);
  }

  storage::result<storage::unpacked_layer> stored(const std::string& blob, const storage::digest& diff_id,
                                                  const storage::unpack_limits& limits = {}) {
    write_bytes(folder / "blob", blob);
    const auto into = folder / ("layer-" + std::to_string(++count));
    std::filesystem::create_directory(into);
    auto done = storage::unpack_layer(folder / "blob", descriptor_of(blob), diff_id, lower, into, limits);
    lower.insert(lower.begin(), into);
    return done;
  }

  /// A path in the layer unpacked last.
  std::string operator/(const std::string& path) const { return lower.front() + "/" + path; }

  temporary_folder folder;
  std::vector<std::string> lower;
  int count = 0;
};

struct stat look(const std::string& path) {
  struct stat status {};
  CAPTURE(path);
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status;
}

bool is_whiteout(const std::string& path) {
  const auto status = look(path);
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

std::string attribute(const std::string& path, const char* name) {
  char value[100];
  const auto size = ::lgetxattr(path.c_str(), name, value, sizeof(value));
  return size < 0 ? "none" : std::string(value, static_cast<std::size_t>(size));
}

auto owned(la_int64_t uid, la_int64_t gid, int mode) {
  return [=](archive_entry* made) {
    archive_entry_set_uid(made, uid);
    archive_entry_set_gid(made, gid);
    archive_entry_set_perm(made, static_cast<mode_t>(mode));
  };
}

} // namespace

TEST_CASE("files, modes, owners, times, links, pipes and attributes are as in the tar, plain, gzip and zstd") {
  if (!is_root())
    return;
  for (const auto how : {packing::plain, packing::gzip, packing::zstd}) {
    unpacking at;
    const auto attributes = [](archive_entry* made) {
      archive_entry_xattr_add_entry(made, "user.kept", "yes", 3);
      archive_entry_xattr_add_entry(made, "user.overlay.opaque", "y", 1);
      archive_entry_xattr_add_entry(made, "trusted.overlay.redirect", "/", 1);
    };
    const auto done = must(at.layer(tar_builder()
                                        .entry("./", AE_IFDIR, owned(7, 8, 0711))
                                        .entry("srv/", AE_IFDIR, owned(1000, 1001, 01777))
                                        .file("srv/suid", "run me", 04755)
                                        .entry("srv/empty", AE_IFREG, owned(33, 34, 0))
                                        .hardlink("srv/same", "srv/suid")
                                        .symlink("srv/out", "../../../../etc/passwd")
                                        .symlink("srv/absolute", "/srv/suid")
                                        .entry("pipe", AE_IFIFO, owned(0, 0, 0600))
                                        .entry("marked", AE_IFREG, attributes)
                                        .bytes(),
                                    how));
    CHECK(done.entries == 9);
    CHECK(done.bytes == 6);
    CHECK(look(at / "").st_uid == 7);
    CHECK((look(at / "").st_mode & 07777) == 0711);
    CHECK((look(at / "srv").st_mode & 07777) == 01777);
    CHECK(look(at / "srv").st_gid == 1001);
    CHECK(look(at / "srv").st_mtim.tv_sec == 1'600'000'000);
    CHECK((look(at / "srv/suid").st_mode & 07777) == 04755);
    CHECK(look(at / "srv/suid").st_mtim.tv_sec == 1'600'000'000);
    CHECK(read_bytes(at / "srv/suid") == "run me");
    CHECK(look(at / "srv/same").st_ino == look(at / "srv/suid").st_ino);
    CHECK(look(at / "srv/empty").st_uid == 33);
    CHECK((look(at / "srv/empty").st_mode & 07777) == 0);
    CHECK(std::filesystem::read_symlink(at / "srv/out") == "../../../../etc/passwd");
    CHECK(std::filesystem::read_symlink(at / "srv/absolute") == "/srv/suid");
    CHECK(S_ISFIFO(look(at / "pipe").st_mode));
    CHECK(attribute(at / "marked", "user.kept") == "yes");
    CHECK(attribute(at / "marked", "user.overlay.opaque") == "none");
    CHECK(attribute(at / "marked", "trusted.overlay.redirect") == "none");
  }
}

TEST_CASE("names with umlauts and names that are no text at all come out byte by byte") {
  if (!is_root())
    return;
  unpacking at;
  must(at.layer(tar_builder()
                    .file("gr\xc3\xbc\xc3\x9f"
                          "e/\xe2\x98\x83",
                          "snow")
                    .file("raw-\xff\xfe", "bytes")
                    .bytes()));
  CHECK(read_bytes(at / "gr\xc3\xbc\xc3\x9f"
                        "e/\xe2\x98\x83") == "snow");
  CHECK(read_bytes(at / "raw-\xff\xfe") == "bytes");
}

TEST_CASE("an entry that comes twice is there as it came last, without touching what was linked to the first") {
  if (!is_root())
    return;
  unpacking at;
  must(at.layer(tar_builder()
                    .file("a", "first")
                    .hardlink("b", "a")
                    .file("a", "second")
                    .folder("d")
                    .symlink("d", "a") // an empty folder may be replaced
                    .symlink("e", "nowhere")
                    .file("e", "a file now")
                    .bytes()));
  CHECK(read_bytes(at / "a") == "second");
  CHECK(read_bytes(at / "b") == "first");
  CHECK(S_ISLNK(look(at / "d").st_mode));
  CHECK(read_bytes(at / "e") == "a file now");
}

TEST_CASE("a whiteout becomes overlayfs' own, and one beside a new folder makes that cover what lies below") {
  if (!is_root())
    return;
  unpacking at;
  must(at.layer(tar_builder().file("etc/motd", "hello").file("srv/a", "1").file("var/b", "2").bytes()));
  must(at.layer(tar_builder()
                    .file("etc/.wh.motd", "")
                    .file(".wh.srv", "") // before the folder that replaces it
                    .file("srv/c", "3")
                    .file("var/d", "4")
                    .file("var/.wh..wh..opq", "") // after what the folder holds now
                    .file("opt/deep/.wh.gone", "")
                    .file("new", "5")
                    .file(".wh.new", "")
                    .file(".wh..wh.plnk", "")
                    .bytes()));
  CHECK(is_whiteout(at / "etc/motd"));
  CHECK(attribute(at / "etc", "trusted.overlay.opaque") == "none");
  CHECK(attribute(at / "srv", "trusted.overlay.opaque") == "y");
  CHECK(read_bytes(at / "srv/c") == "3");
  CHECK(attribute(at / "var", "trusted.overlay.opaque") == "y");
  CHECK(read_bytes(at / "var/d") == "4");
  CHECK(is_whiteout(at / "opt/deep/gone"));
  CHECK(read_bytes(at / "new") == "5");
  CHECK_FALSE(std::filesystem::exists(at / ".wh..wh.plnk"));
  CHECK_FALSE(std::filesystem::exists(at / ".wh.new"));
}

TEST_CASE("a folder that the tar takes for granted has the owner, mode and time of the layers below") {
  if (!is_root())
    return;
  unpacking at;
  must(at.layer(tar_builder()
                    .entry("srv/", AE_IFDIR, owned(5, 6, 0700))
                    .entry("srv/data/", AE_IFDIR, owned(7, 8, 02775))
                    .bytes()));
  must(at.layer(tar_builder().file("other", "x").bytes()));
  must(at.layer(tar_builder().file("srv/data/new/file", "x").bytes()));
  CHECK(look(at / "srv").st_uid == 5);
  CHECK((look(at / "srv").st_mode & 07777) == 0700);
  CHECK(look(at / "srv/data").st_gid == 8);
  CHECK((look(at / "srv/data").st_mode & 07777) == 02775);
  CHECK(look(at / "srv/data").st_mtim.tv_sec == 1'600'000'000);
  CHECK((look(at / "srv/data/new").st_mode & 07777) == 0755);
  CHECK(look(at / "srv/data/new").st_uid == 0);
  // What a layer in between has hidden is not asked.
  must(at.layer(tar_builder().file(".wh.srv", "").bytes()));
  must(at.layer(tar_builder().file("srv/again", "x").bytes()));
  CHECK(look(at / "srv").st_uid == 0);
  CHECK((look(at / "srv").st_mode & 07777) == 0755);
}

TEST_CASE("a hostile tar is refused with the reason, and nothing appears outside its folder") {
  if (!is_root())
    return;
  const auto refused = [](tar_builder& tar, const std::string& words) {
    unpacking at;
    write_bytes(at.folder / "outside", "untouched");
    CAPTURE(words);
    check_refused(at.layer(tar.bytes()), storage_errc::refused, words);
    CHECK(read_bytes(at.folder / "outside") == "untouched");
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(at.folder.path()))
      names.insert(entry.path().filename().string());
    CHECK(names == std::set<std::string>{"blob", "layer-1", "outside"});
  };
  refused(tar_builder().file("../outside", "mine"), "climbs with '..'");
  refused(tar_builder().file("a/../../outside", "mine"), "climbs with '..'");
  refused(tar_builder().file("/tmp/prunella-absolute", "mine"), "it is absolute");
  refused(tar_builder().symlink("door", "..").file("door/outside", "mine"),
          "goes through 'door', which is a symbolic link");
  refused(tar_builder().symlink("door", "/tmp").folder("door/x"), "goes through 'door'");
  refused(tar_builder().folder("a").symlink("a/door", "../..").folder("a/door/b/c"), "goes through 'a/door'");
  // Replaced after it was seen as a folder.
  refused(tar_builder().folder("door").symlink("door", "..").file("door/outside", "mine"), "goes through 'door'");
  refused(tar_builder().hardlink("stolen", "../outside"), "not a path within the image");
  refused(tar_builder().hardlink("stolen", "/etc/passwd"), "not a path within the image");
  refused(tar_builder().symlink("door", "..").hardlink("stolen", "door/outside"), "goes through 'door'");
  refused(tar_builder().hardlink("stolen", "nowhere"), "no file of this layer");
  refused(tar_builder().folder("d").hardlink("stolen", "d"), "no file of this layer");
  refused(tar_builder().file("f", "x").file("f/g", "y"), "which is no folder");
  refused(tar_builder().folder("d").file("d/x", "y").file("d", "z"), "'d' in it cannot be made");
  refused(tar_builder().entry("sda", AE_IFBLK), "'sda' in it is a device node");
  refused(tar_builder().entry("null", AE_IFCHR), "'null' in it is a device node");
  refused(tar_builder().file(".", "a file as root"), "its root is no folder");
  refused(tar_builder().file("a/.wh...", ""), "hides no file");
  CHECK_FALSE(std::filesystem::exists("/tmp/prunella-absolute"));
}

TEST_CASE("a layer may have as many bytes and entries as the limits say, and not one more") {
  if (!is_root())
    return;
  storage::unpack_limits limits;
  limits.bytes = 1000;
  limits.entries = 3;
  unpacking at;
  CHECK(must(at.layer(tar_builder().file("a", std::string(999, 'a')).file("b", "b").folder("c").bytes(), packing::gzip,
                      limits))
            .bytes == 1000);
  check_refused(at.layer(tar_builder().file("a", std::string(999, 'a')).file("b", "bb").bytes(), packing::gzip, limits),
                storage_errc::refused, "1000 bytes allowed");
  check_refused(at.layer(tar_builder().folder("a").folder("b").folder("c").folder("d").bytes(), packing::gzip, limits),
                storage_errc::refused, "more than 3 entries");
}

TEST_CASE("a bomb of zeros behind the tar and a sparse file of a terabyte are refused before they cost anything") {
  if (!is_root())
    return;
  storage::unpack_limits limits;
  limits.bytes = 1u << 20;
  limits.entries = 10;
  unpacking at;
  const auto tar = tar_builder().file("a", "small").bytes();
  const auto bomb = packed(tar + std::string(64u << 20, '\0'), packing::gzip);
  REQUIRE(bomb.size() < 200'000);
  check_refused(at.stored(bomb, storage::digest_of(tar), limits), storage_errc::refused, "more bytes than a layer may");
  tar_builder hole;
  hole.entry("hole", AE_IFREG, [](archive_entry* made) {
    archive_entry_set_size(made, la_int64_t{1} << 40);
    archive_entry_sparse_add_entry(made, 0, 1); // one byte, then a hole: pax says so in a few blocks
  });
  check_refused(at.layer(hole.bytes()), storage_errc::refused, "'hole' (1099511627776 bytes)");
}

TEST_CASE("a layer that is no tar, is cut off or not compressed right says so") {
  if (!is_root())
    return;
  unpacking at;
  const auto tar = tar_builder().file("a", std::string(100'000, 'a')).bytes();
  const auto gzip = packed(tar, packing::gzip);
  check_refused(at.stored(gzip.substr(0, gzip.size() / 2), storage::digest_of(tar)), storage_errc::malformed,
                "export the image again");
  check_refused(at.layer(tar.substr(0, 5000), packing::plain), storage_errc::malformed, "no valid tar");
  check_refused(at.layer("this is a text and no tar, whatever it is called", packing::plain), storage_errc::malformed,
                "no valid tar");
  check_refused(at.stored(gzip, storage::digest_of("other")), storage_errc::unverified, "does not unpack to what");
}

TEST_CASE("an empty layer is a layer: no bytes, or two blocks of zeros") {
  if (!is_root())
    return;
  unpacking at;
  CHECK(must(at.layer(std::string(1024, '\0'), packing::gzip)).entries == 0);
  CHECK(must(at.layer("", packing::plain)).entries == 0);
}

TEST_CASE("a full disk while unpacking is told as that") {
  if (!is_root())
    return;
  temporary_folder folder;
  small_disk disk(folder / "disk", "1m");
  if (!disk.mounted())
    return;
  const auto tar = tar_builder().file("big", std::string(3u << 20, 'x')).bytes();
  write_bytes(folder / "blob", packed(tar, packing::gzip));
  std::filesystem::create_directory(disk.path() + "/into");
  check_refused(storage::unpack_layer(folder / "blob", descriptor_of("any"), storage::digest_of(tar), {},
                                      disk.path() + "/into", {}),
                storage_errc::disk_full, "unpack 'big'");
}
