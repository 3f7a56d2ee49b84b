#include "check.h"

#include "driver/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pc_driver_network network;
static struct pc_driver_network_dirs dirs;
static struct pc_reason why;
static char root[] = "/tmp/peercache-network-XXXXXX";

static void put(const char *dir, const char *name, const char *text)
{
    char path[8192];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void take_away(const char *dir, const char *name)
{
    char path[8192];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&network, 0, sizeof(network));
    memset(&why, 0, sizeof(why));
    memcpy(root + strlen(root) - 6, "XXXXXX", 6);
    assert_non_null(mkdtemp(root));
    (void)snprintf(dirs.user, sizeof(dirs.user), "%s/user", root);
    (void)snprintf(dirs.system, sizeof(dirs.system), "%s/system", root);
    assert_int_equal(mkdir(dirs.user, 0700), 0);
    assert_int_equal(mkdir(dirs.system, 0700), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(rmdir(dirs.user), 0);
    assert_int_equal(rmdir(dirs.system), 0);
    return rmdir(root);
}

static int parse(const char *text)
{
    memset(&why, 0, sizeof(why));
    memset(&network, 0, sizeof(network));
    return pc_driver_network_parse("x", text, strlen(text), "here", &network, &why);
}

static void ipfs_is_built_in(void **state)
{
    (void)state;
    assert_int_equal(pc_driver_network_find("ipfs", &dirs, &network, &why), 0);
    assert_string_equal(network.name, "ipfs");
    assert_string_equal(network.kad_protocol, "/ipfs/kad/1.0.0");
    assert_true(network.bootstrap_count >= 4);
    for (size_t i = 0; i < network.bootstrap_count; i++)
        assert_non_null(strstr(network.bootstrap[i], "/p2p/"));
    assert_int_equal(strncmp(network.bootstrap[0], "/dnsaddr/bootstrap.libp2p.io/p2p/", 33), 0);
}

static void an_unknown_one_lists_the_known(void **state)
{
    (void)state;
    put(dirs.user, "mychain", "kad_protocol = /my/kad\n");
    put(dirs.system, "zebra", "kad_protocol = /zebra/kad\n");
    put(dirs.system, "ipfs", "kad_protocol = /other/kad\n");
    put(dirs.user, ".hidden", "kad_protocol = /hidden/kad\n");
    assert_int_equal(pc_driver_network_find("nosuch", &dirs, &network, &why), PEERCACHE_ENOTFOUND);
    assert_non_null(strstr(why.text, "\"nosuch\""));
    assert_non_null(strstr(why.text, "ipfs, mychain, zebra;")); /* sorted, each once, no hidden one */
    take_away(dirs.user, "mychain");
    take_away(dirs.user, ".hidden");
    take_away(dirs.system, "zebra");
    take_away(dirs.system, "ipfs");
}

static void users_come_before_system_before_built_in(void **state)
{
    (void)state;
    put(dirs.system, "ipfs", "kad_protocol = /system/kad\n");
    assert_int_equal(pc_driver_network_find("ipfs", &dirs, &network, &why), 0);
    assert_string_equal(network.kad_protocol, "/system/kad");
    put(dirs.user, "ipfs", "kad_protocol = /user/kad\n");
    assert_int_equal(pc_driver_network_find("ipfs", &dirs, &network, &why), 0);
    assert_string_equal(network.kad_protocol, "/user/kad");
    take_away(dirs.user, "ipfs");
    take_away(dirs.system, "ipfs");
}

static void a_broken_file_is_an_error_with_its_path_not_passed_over(void **state)
{
    (void)state;
    put(dirs.user, "ipfs", "kad_protocol /user/kad\n");
    assert_int_equal(pc_driver_network_find("ipfs", &dirs, &network, &why), PEERCACHE_EPARSE);
    assert_non_null(strstr(why.text, "/user/ipfs"));
    assert_non_null(strstr(why.text, "line 1"));
    take_away(dirs.user, "ipfs");
    char path[8192];
    (void)snprintf(path, sizeof(path), "%s/folder", dirs.user);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(pc_driver_network_find("folder", &dirs, &network, &why), PEERCACHE_EIO);
    assert_non_null(strstr(why.text, "/user/folder"));
    assert_int_equal(rmdir(path), 0);
}

static void a_file_has_a_limit(void **state)
{
    (void)state;
    char path[8192];
    (void)snprintf(path, sizeof(path), "%s/big", dirs.user);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < PC_DRIVER_NETWORK_FILE_BYTES / 2; i++)
        (void)fputs("#\n", file);
    (void)fputs("#", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(pc_driver_network_find("big", &dirs, &network, &why), PEERCACHE_ELIMIT);
    take_away(dirs.user, "big");
}

static void names_that_leave_the_folder_are_unknown(void **state)
{
    (void)state;
    const char *const bad[] = { "", ".", "..", "../ipfs", "/etc/passwd", "a/b", ".ipfs", "a b", "a\n" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(pc_driver_network_name_valid(bad[i]));
        assert_int_equal(pc_driver_network_find(bad[i], &dirs, &network, &why), PEERCACHE_ENOTFOUND);
    }
    char longest[PC_DRIVER_NETWORK_NAME_BYTES + 1];
    memset(longest, 'n', sizeof(longest));
    longest[PC_DRIVER_NETWORK_NAME_BYTES] = '\0';
    assert_false(pc_driver_network_name_valid(longest));
    longest[PC_DRIVER_NETWORK_NAME_BYTES - 1] = '\0';
    assert_true(pc_driver_network_name_valid(longest));
    /* A sentence all the same, however long the name. */
    assert_int_equal(pc_driver_network_find(longest, &dirs, &network, &why), PEERCACHE_ENOTFOUND);
    assert_non_null(strstr(why.text, "ipfs"));
}

static void protocols(void **state)
{
    (void)state;
    const char *const good[] = { "/ipfs/kad/1.0.0", "/a/b", "/my-chain/kad_2" };
    const char *const bad[] = {
        "", "/", "/a", "a/b", "//", "/a/", "/a//b", "/a/b c", "/a/b\n", "/a/\xc3\xa4"
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(pc_driver_kad_protocol_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(pc_driver_kad_protocol_valid(bad[i]));
    char longest[PC_DRIVER_KAD_PROTOCOL_BYTES + 1];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "/a/", 3);
    longest[PC_DRIVER_KAD_PROTOCOL_BYTES] = '\0';
    assert_false(pc_driver_kad_protocol_valid(longest));
    longest[PC_DRIVER_KAD_PROTOCOL_BYTES - 1] = '\0';
    assert_true(pc_driver_kad_protocol_valid(longest));
}

static void a_whole_description(void **state)
{
    (void)state;
    assert_int_equal(parse("; a comment\n"
                           "# another\n"
                           "\n"
                           "bootstrap = /ip6/2001:db8::1/udp/4001/quic-v1\n"
                           "kad_protocol=/my/kad/1.0.0\r\n"
                           "endpoint = https://peers.example/v1?format=text\n"
                           "network_version = 1_1.0\n"
                           "bootstrap = /dnsaddr/boot.example\n"
                           "endpoint = http://[2001:db8::1]:8080/\n"),
                     0);
    assert_string_equal(network.name, "x");
    assert_string_equal(network.kad_protocol, "/my/kad/1.0.0");
    assert_int_equal(network.bootstrap_count, 2);
    assert_string_equal(network.bootstrap[0], "/ip6/2001:db8::1/udp/4001/quic-v1");
    assert_string_equal(network.bootstrap[1], "/dnsaddr/boot.example");
    assert_int_equal(network.endpoint_count, 2);
    assert_string_equal(network.endpoints[0], "https://peers.example/v1?format=text");
    assert_string_equal(network.endpoints[1], "http://[2001:db8::1]:8080/");
    assert_string_equal(network.network_version, "1_1.0");
    assert_int_equal(parse("kad_protocol = /a/b\n"), 0);
    assert_int_equal(network.endpoint_count, 0);
    assert_string_equal(network.network_version, "");
}

static void what_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *word;
    } cases[] = {
        { "", "kad_protocol is missing" },
        { "bootstrap = /dnsaddr/boot.example\n", "kad_protocol is missing" },
        { "kad_protocol = kad\n", "/a/b" },
        { "kad_protocol =\n", "/a/b" },
        { "kad_protocol = /a/b\nkad_protocol = /a/c\n", "line 2: a second kad_protocol" },
        { "kad_protocol = /a/b\nkad_protocl = /a/c\n", "line 2: unknown key \"kad_protocl\"" },
        { "[network]\nkad_protocol = /a/b\n", "unknown section \"network\"" },
        { "kad_protocol = /a/b\nbootstrap = example.org\n", "no multiaddr" },
        { "kad_protocol = /a/b\nbootstrap = /ip4/300.0.0.1/udp/1/quic-v1\n", "no multiaddr" },
        { "kad_protocol = /a/b\n{\"json\": 1}\n", "line 2" },
        { "kad_protocol = /a/b\nendpoint = peers.example\n", "line 2: an endpoint can't be asked" },
        { "kad_protocol = /a/b\nendpoint = ftp://peers.example/\n", "the scheme \"ftp\"" },
        { "kad_protocol = /a/b\nendpoint = https://me:word@peers.example/\n", "no user or password" },
        { "kad_protocol = /a/b\nendpoint =\n", "an endpoint can't be asked" },
        { "kad_protocol = /a/b\nnetwork_version = 1\nnetwork_version = 2\n",
          "line 3: a second network_version \"2\"" },
        { "kad_protocol = /a/b\nnetwork_version = a b\n", "network_version is no word" },
        { "kad_protocol = /a/b\nnetwork_version =\n", "network_version is no word" },
        { "kad_protocol = /a/b\nnetwork_version = "
          "0123456789012345678901234567890123456789012345678901234567890123\n",
          "network_version is no word" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(parse(cases[i].text), PEERCACHE_EPARSE);
        assert_non_null(strstr(why.text, "here: "));
        assert_non_null(strstr(why.text, cases[i].word));
        assert_int_equal(network.kad_protocol[0], '\0'); /* untouched */
    }
}

static void lines_and_bytes_beyond_the_text(void **state)
{
    (void)state;
    char text[1024];
    memset(text, 'a', sizeof(text));
    memcpy(text, "kad_protocol = /a/b\n# ", 22);
    text[22 + PC_DRIVER_NETWORK_LINE_BYTES - 2] = '\0';
    assert_int_equal(parse(text), 0);
    text[22 + PC_DRIVER_NETWORK_LINE_BYTES - 2] = 'a';
    text[22 + PC_DRIVER_NETWORK_LINE_BYTES - 1] = '\0';
    assert_int_equal(parse(text), PEERCACHE_EPARSE);
    assert_non_null(strstr(why.text, "line 2"));
    const char nul[] = "kad_protocol = /a/b\n\0bootstrap = x\n";
    assert_int_equal(pc_driver_network_parse("x", nul, sizeof(nul) - 1, "here", &network, &why),
                     PEERCACHE_EPARSE);
    assert_non_null(strstr(why.text, "not a text"));
}

static void endpoints_have_a_limit(void **state)
{
    (void)state;
    static char text[8192] = "kad_protocol = /a/b\n";
    for (int i = 0; i < PC_JOIN_ENDPOINTS_MAX; i++)
        strcat(text, "endpoint = https://peers.example/\n");
    assert_int_equal(parse(text), 0);
    assert_int_equal(network.endpoint_count, PC_JOIN_ENDPOINTS_MAX);
    strcat(text, "endpoint = https://peers.example/\n");
    assert_int_equal(parse(text), PEERCACHE_ELIMIT);
    assert_non_null(strstr(why.text, "too many endpoints"));
}

static void bootstraps_have_a_limit(void **state)
{
    (void)state;
    static char text[8192] = "kad_protocol = /a/b\n";
    for (int i = 0; i < PC_DRIVER_NETWORK_BOOTSTRAP_MAX; i++)
        strcat(text, "bootstrap = /dnsaddr/boot.example\n");
    assert_int_equal(parse(text), 0);
    assert_int_equal(network.bootstrap_count, PC_DRIVER_NETWORK_BOOTSTRAP_MAX);
    strcat(text, "bootstrap = /dnsaddr/boot.example\n");
    assert_int_equal(parse(text), PEERCACHE_ELIMIT);
}

static void the_environment_says_where(void **state)
{
    (void)state;
    struct pc_driver_network_dirs found;
    assert_int_equal(setenv("XDG_CONFIG_HOME", "/conf", 1), 0);
    pc_driver_network_dirs_of_environment(&found);
    assert_string_equal(found.user, "/conf/peercache/networks");
    assert_non_null(strstr(found.system, "/peercache/networks"));
    assert_int_equal(setenv("XDG_CONFIG_HOME", "relative", 1), 0);
    assert_int_equal(setenv("HOME", "/home/someone", 1), 0);
    pc_driver_network_dirs_of_environment(&found);
    assert_string_equal(found.user, "/home/someone/.config/peercache/networks");
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    pc_driver_network_dirs_of_environment(&found);
    assert_string_equal(found.user, "/home/someone/.config/peercache/networks");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ipfs_is_built_in),
        TEST(an_unknown_one_lists_the_known),
        TEST(users_come_before_system_before_built_in),
        TEST(a_broken_file_is_an_error_with_its_path_not_passed_over),
        TEST(a_file_has_a_limit),
        TEST(names_that_leave_the_folder_are_unknown),
        TEST(protocols),
        TEST(a_whole_description),
        TEST(what_is_refused),
        TEST(lines_and_bytes_beyond_the_text),
        TEST(bootstraps_have_a_limit),
        TEST(endpoints_have_a_limit),
        TEST(the_environment_says_where),
    };
    return cmocka_run_group_tests_name("driver_network", tests, NULL, NULL);
}
